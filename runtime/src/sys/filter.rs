//! A system-call filter against the ways out that a network namespace does not close.
//!
//! A network namespace contains IP, netlink and abstract unix sockets. It does not contain `AF_VSOCK` (to the hypervisor
//! of a virtual machine), Bluetooth and other families; io_uring opens sockets without the system calls that a filter
//! sees; and the terminal that the agent shares with the shell outside takes typed characters through `TIOCSTI`
//! (CVE-2017-5226). All three are refused.

use std::io;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO,
    sock_filter, sock_fprog,
};

/// Offsets into `struct seccomp_data`; arguments are 64 bits wide, and on the little-endian machines we build for their
/// low half comes first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT_0: u32 = 16;
const ARGUMENT_1: u32 = 24;

#[cfg(target_arch = "x86_64")]
mod native {
    pub(super) const ARCHITECTURE: u32 = 0xc000_003e;
    /// i386: `ioctl`, `socketcall` (its arguments are in memory that a filter cannot read), `socket`, `socketpair`.
    pub(super) const COMPAT: [u32; 4] = [54, 102, 359, 360];
}
#[cfg(target_arch = "aarch64")]
mod native {
    pub(super) const ARCHITECTURE: u32 = 0xc000_00b7;
    /// 32-bit ARM has no `socketcall` in its EABI; 102 was never anything else.
    pub(super) const COMPAT: [u32; 4] = [54, 102, 281, 288];
}

#[cfg(target_endian = "big")]
compile_error!("the system-call filter reads the low half of arguments at their first byte");

/// The number of the first system call of x32, which no other 64-bit architecture reaches; io_uring's three are the same
/// everywhere.
const X32: u32 = 0x4000_0000;
const IO_URING: [u32; 3] = [425, 426, 427];

/// The families that stay: unix, IPv4, IPv6 and netlink, all of which belong to a network namespace.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

fn refuse(errno: libc::c_int) -> sock_filter {
    statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

fn statement(code: u32, k: u32) -> sock_filter {
    #[expect(clippy::cast_possible_truncation, reason = "the codes of BPF fit into sixteen bits")]
    let code = code as u16;
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Goes on with the next instruction when the accumulator equals `k`, else skips `skip`.
fn if_equal(k: u32, skip: u8) -> sock_filter {
    sock_filter { jf: skip, ..statement(BPF_JMP | BPF_JEQ | BPF_K, k) }
}

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

/// The rules for one architecture: the numbers of `ioctl`, `socket` and `socketpair`, and one that is refused as missing.
fn rules(ioctl: u32, socket: [u32; 2], missing: &[u32]) -> Vec<sock_filter> {
    let mut program = vec![load(NUMBER)];
    for number in missing.iter().chain(&IO_URING) {
        program.extend([if_equal(*number, 1), refuse(libc::ENOSYS)]);
    }
    #[expect(clippy::cast_possible_truncation, reason = "both requests are 16-bit numbers")]
    let typed = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];
    program.extend([if_equal(ioctl, 6), load(ARGUMENT_1)]);
    for request in typed {
        program.extend([if_equal(request, 1), refuse(libc::EPERM)]);
    }
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    for number in socket {
        program.extend([if_equal(number, 10), load(ARGUMENT_0)]);
        for family in FAMILIES {
            program.extend([if_equal(family.cast_unsigned(), 1), statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)]);
        }
        program.push(refuse(libc::EAFNOSUPPORT));
    }
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    program
}

fn program() -> Vec<sock_filter> {
    #[expect(clippy::cast_possible_truncation, reason = "numbers of system calls are small")]
    let native = [libc::SYS_ioctl as u32, libc::SYS_socket as u32, libc::SYS_socketpair as u32];
    let [ioctl, socket, socketpair] = native;
    let mut here = vec![load(NUMBER)];
    // x32 shares the architecture and hides behind a bit; nothing but test programs uses it.
    here.extend([sock_filter { jf: 1, ..statement(BPF_JMP | BPF_JGE | BPF_K, X32) }, refuse(libc::ENOSYS)]);
    here.extend(rules(ioctl, [socket, socketpair], &[]));
    let [ioctl, socketcall, socket, socketpair] = native::COMPAT;
    let compat = rules(ioctl, [socket, socketpair], &[socketcall]);
    let mut program = vec![load(ARCHITECTURE)];
    let length = u8::try_from(here.len()).unwrap_or(u8::MAX);
    program.push(if_equal(native::ARCHITECTURE, length));
    program.extend(here);
    program.extend(compat);
    program
}

/// Installs the filter for this process and everything it will ever execute. `no_new_privs` must be set.
///
/// # Errors
/// What seccomp(2) says: `EACCES` without `no_new_privs`, `EINVAL` where the kernel has no filters.
pub fn install() -> io::Result<()> {
    let mut program = program();
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: `program` points to `len` instructions that outlive the call; the kernel copies and verifies them.
    let done =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0_u64, 0_u64) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
