//! The filter of system calls for containers of engines whose own lets too much through.
//!
//! Engines before 23.0 (version 1.42 of the API) let containers open sockets of any family, `AF_VSOCK` among them: a way to the
//! hypervisor, or to the host, that passes no bridge and no ruleset. Their filter cannot be added to, only replaced. So this
//! one has what Docker's documentation says that its own refuses (Seccomp security profiles for Docker, "Significant
//! syscalls blocked by the default profile"), what came to the kernel since, and sockets of all families but those that a
//! container can have a use for.

use serde_json::{Value, json};

/// The first version of the API whose engines refuse `AF_VSOCK` themselves.
const REFUSES_VSOCK: (u32, u32) = (1, 42);

/// What a container of this project never needs: none of the capabilities that it can be given is for these.
const REFUSED: &[&str] = &[
    "_sysctl",
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_settime",
    "clock_settime64",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "get_mempolicy",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "sysfs",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
];
/// `CLONE_NEW*` of clone(2).
const NAMESPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
/// `AF_UNIX`, `AF_INET`, `AF_INET6`, `AF_NETLINK`. What is above the last is refused as a range, and so is every number that has
/// something in the half which the kernel does not look at.
const FAMILIES: [u64; 4] = [1, 2, 10, 16];

/// Whether an engine of this version of the API is one of those. Of one that says none, it is assumed.
pub(super) fn is_needed(api: &str) -> bool {
    version(api).is_none_or(|version| version < REFUSES_VSOCK)
}

/// `1.41` as numbers.
pub(super) fn version(api: &str) -> Option<(u32, u32)> {
    let (major, minor) = api.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The value of `SecurityOpt` for it.
pub(super) fn option() -> String {
    format!("seccomp={}", profile())
}

fn profile() -> Value {
    let refuse = |names: Value, errno: i32, args: Value| json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args });
    let mut rules = vec![
        refuse(json!(REFUSED), libc::EPERM, json!([])),
        // Its flags are in memory, where no filter sees them; programs then call clone.
        refuse(json!(["clone3"]), libc::ENOSYS, json!([])),
    ];
    for flag in NAMESPACES {
        let masked = json!([{ "index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ" }]);
        rules.push(refuse(json!(["clone"]), libc::EPERM, masked));
    }
    let highest = FAMILIES.into_iter().max().unwrap_or_default();
    let others = (0..highest).filter(|family| !FAMILIES.contains(family)).map(|family| ("SCMP_CMP_EQ", family));
    for (op, family) in others.chain([("SCMP_CMP_GT", highest)]) {
        let is = json!([{ "index": 0, "value": family, "op": op }]);
        rules.push(refuse(json!(["socket", "socketpair"]), libc::EAFNOSUPPORT, is));
    }
    // Calls of other architectures, where the numbers mean something else, end their process.
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_before_23_and_those_that_do_not_say_need_it() {
        for (api, needed) in
            [("1.41", true), ("1.40", true), ("1.42", false), ("1.100", false), ("2.0", false), ("", true), ("1", true)]
        {
            assert_eq!(is_needed(api), needed, "{api}");
        }
    }

    /// What the filter makes of a socket of this family: whether a rule refuses it.
    fn refused(family: u64) -> bool {
        let profile = profile();
        let rules = profile["syscalls"].as_array().unwrap().iter();
        let mut of_socket = rules.filter(|rule| rule["names"] == json!(["socket", "socketpair"]));
        of_socket.any(|rule| {
            let value = rule["args"][0]["value"].as_u64().unwrap();
            if rule["args"][0]["op"] == "SCMP_CMP_EQ" { family == value } else { family > value }
        })
    }

    #[test]
    fn four_families_of_sockets_are_left() {
        let left: Vec<u64> = (0..1 << 16).filter(|family| !refused(*family)).collect();
        assert_eq!(left, FAMILIES);
        // The kernel looks at the lower half alone: this is `AF_VSOCK` and `AF_INET` to it.
        assert!(refused(0x1_0000_0028) && refused(0x1_0000_0002));
    }
}
