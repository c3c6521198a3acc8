//! What is remembered when the daemon is killed at any moment, and when the disk is full or may only be read.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use outcall_runtime::load::Artifacts;
use outcall_runtime::state::StateDir;

use crate::state::{check_whole, names, policy};

/// Names the directory to a process that one of these tests starts.
const DIRECTORY: &str = "OUTCALL_TEST_STATE";

fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// This program again, to run one test of this file on a directory; `before` are words before it.
fn again(before: &[&str], test: &str, directory: &Path) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut words = before.iter().map(|word| (*word).into()).chain([this.into_os_string()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", &format!("state_crash::{test}"), "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).stdin(Stdio::null());
    command
}

/// Keeps two policies in turn and counts in a small file; says after each what is on the disk.
fn keep_over_and_over(path: &Path, mut said: impl Write, until: impl Fn(u64) -> bool) {
    let [one, two] = ["one.example", "two.example"].map(policy);
    let state = StateDir::open(path).unwrap();
    let before: u64 = state.read_json("count").unwrap().unwrap_or_default();
    for count in before + 1.. {
        let (artifacts, digest) = if count.is_multiple_of(2) { &two } else { &one };
        state.keep(artifacts, digest).unwrap();
        state.write_json("count", &count).unwrap();
        writeln!(said, "kept {count} {}", state.current().unwrap().number).unwrap();
        if until(count) {
            break;
        }
    }
}

#[test]
fn what_is_kept_over_and_over_stays_bounded() {
    if let Some(path) = directory() {
        let began = Instant::now();
        return keep_over_and_over(&path, std::io::stdout(), |_| began.elapsed() > Duration::from_secs(30));
    }
    let home = tempfile::tempdir().unwrap();
    keep_over_and_over(home.path(), std::io::sink(), |count| count == 20);
    let state = StateDir::open(home.path()).unwrap();
    assert_eq!((state.generations().len(), state.current().unwrap().number), (5, 20));
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_leaves_the_old_or_the_new_policy_whole() {
    let home = tempfile::tempdir().unwrap();
    let digests = ["one.example", "two.example"].map(|host| policy(host).1);
    let random = |below: u64| RandomState::new().hash_one(()) % below;
    let mut interrupted = 0;
    for _ in 0..50 {
        let mut command = again(&[], "what_is_kept_over_and_over_stays_bounded", home.path());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let rounds = 2 + random(2);
        let mut said: Option<(u64, u64)> = None;
        let mut read = |line: String| {
            let numbers = line.split_once("kept ").map(|(_, numbers)| numbers.to_owned())?;
            let (count, number) = numbers.split_once(' ')?;
            said = Some((count.parse().ok()?, number.parse().ok()?));
            said
        };
        let mut began = Instant::now();
        let mut seen = 0;
        while seen < rounds {
            seen += u64::from(read(lines.next().unwrap()).is_some());
            if seen == 1 {
                began = Instant::now();
            }
        }
        let round = began.elapsed() / u32::try_from(rounds - 1).unwrap();
        // Any moment of the next round: not to wait for something, but to hit everything.
        std::thread::sleep(round * u32::try_from(random(110)).unwrap() / 100);
        child.kill().unwrap();
        child.wait().unwrap();
        // A line that was cut in half says nothing.
        lines.for_each(|line| {
            read(line);
        });
        let (count, number) = said.unwrap();

        let policies = home.path().join("policies");
        let left = names(&policies);
        let state = StateDir::open(home.path()).unwrap();
        interrupted += u32::from(left != names(&policies));
        let current = state.current().unwrap();
        assert!(current.number >= number, "what was said to be on the disk is");
        let found: u64 = state.read_json("count").unwrap().unwrap();
        assert!(found >= count && found <= count + 1, "{found} after {count}");
        let digest = current.digest.to_string();
        assert!(digests.contains(&digest));
        check_whole(&state, home.path(), Some(&digest));
        assert!(state.previous().is_none_or(|it| it.digest != current.digest));
    }
    assert!(interrupted >= 5, "only {interrupted} of 50 were in the midst of something");
}

/// A private tmpfs in namespaces where this process may mount, and there is room for a few pages and names.
struct Small {
    path: PathBuf,
    ballast: Vec<PathBuf>,
}

impl Small {
    fn mount(path: &Path) -> Small {
        let options = c"size=512k,nr_inodes=200,mode=0700";
        rustix::mount::mount("tmpfs", path, "tmpfs", rustix::mount::MountFlags::empty(), options).unwrap();
        Small { path: path.to_owned(), ballast: Vec::new() }
    }

    fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Leaves room for so many pages and names.
    fn leave(&mut self, pages: u64, names: u64) {
        self.ballast.drain(..).for_each(|path| fs::remove_file(path).unwrap());
        let free = || rustix::fs::statvfs(&self.path).unwrap();
        let ballast = self.path.join("ballast");
        let mut file = File::create(&ballast).unwrap();
        self.ballast.push(ballast);
        let length = free().f_bavail.saturating_sub(pages) * free().f_bsize;
        file.write_all(&vec![1; usize::try_from(length).unwrap()]).unwrap();
        for number in 0..free().f_favail.saturating_sub(names) {
            let path = self.path.join(format!("ballast{number}"));
            File::create(&path).unwrap();
            self.ballast.push(path);
        }
        assert!(free().f_bavail <= pages && free().f_favail <= names);
    }
}

/// Runs a test of this file in a user and a mount namespace of its own.
fn with_small_disk(test: &str, inside: impl FnOnce(Small)) {
    if let Some(path) = directory() {
        return inside(Small::mount(&path));
    }
    let home = tempfile::tempdir().unwrap();
    let output = again(&["unshare", "-Urm", "--"], test, home.path()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Tries with more and more room until it goes well; gives how often it did not.
fn until_it_fits(small: &mut Small, names: bool, mut attempt: impl FnMut(&Path) -> Result<(), String>) -> u64 {
    const PLENTY: u64 = 60;
    for room in 0..PLENTY {
        if names {
            small.leave(PLENTY, room)
        } else {
            small.leave(room, PLENTY)
        }
        match attempt(&small.state()) {
            Ok(()) => return room,
            Err(why) => assert!(why.contains("No space left on device"), "{why}"),
        }
    }
    PLENTY
}

#[test]
fn a_disk_that_is_full_at_any_step_leaves_the_old_policy() {
    with_small_disk("a_disk_that_is_full_at_any_step_leaves_the_old_policy", |mut small| {
        let path = small.state();
        let state = StateDir::open(&path).unwrap();
        let hosts = ["one.example", "two.example", "three.example"];
        let [(old, old_digest), policies @ ..] = hosts.map(policy);
        state.keep(&old, &old_digest).unwrap();
        state.write_json("count", &1).unwrap();
        let mut in_force = old_digest;
        for (of_names, (artifacts, digest)) in [false, true].into_iter().zip(&policies) {
            let failures = until_it_fits(&mut small, of_names, |_| {
                let kept = state.keep(artifacts, digest).map_err(|error| error.to_string());
                check_whole(&state, &path, Some(if kept.is_ok() { digest } else { &in_force }));
                kept.map(drop)
            });
            // A directory, four files and the list.
            assert!((5..20).contains(&failures), "{failures}");
            in_force.clone_from(digest);
            let failures = until_it_fits(&mut small, of_names, |_| {
                let written = state.write_json("count", &2).map_err(|error| error.to_string());
                let expected = if of_names || written.is_ok() { 2 } else { 1 };
                assert_eq!(state.read_json::<u32>("count").unwrap(), Some(expected));
                check_whole(&state, &path, Some(&in_force));
                written
            });
            assert_eq!(failures, 1);
        }
        // After a restart it is the same, and what is pending takes its place without any room.
        drop(state);
        small.leave(0, 0);
        let state = StateDir::open(&path).unwrap();
        check_whole(&state, &path, Some(&in_force));
        let back = state.back().map(drop).unwrap_err().to_string();
        assert!(back.contains("No space left on device"), "{back}");
        small.leave(20, 20);
        let pending = state.pending(&old, &policy("one.example").1).unwrap();
        small.leave(0, 0);
        pending.promote().unwrap();
        check_whole(&state, &path, Some(&policy_digest(&old)));
    });
}

fn policy_digest(artifacts: &Artifacts) -> String {
    use outcall_runtime::load::{Authority, Trust};
    artifacts.verify(&Trust::unsigned(), Authority::Absent).unwrap().digest().to_owned()
}

#[test]
fn a_disk_that_may_only_be_read_gives_back_what_is_on_it() {
    with_small_disk("a_disk_that_may_only_be_read_gives_back_what_is_on_it", |small| {
        let path = small.state();
        let (artifacts, digest) = policy("one.example");
        let state = StateDir::open(&path).unwrap();
        state.keep(&artifacts, &digest).unwrap();
        state.write_json("count", &1).unwrap();
        fs::create_dir(path.join("policies/7")).unwrap();
        drop(state);
        let flags = rustix::mount::MountFlags::RDONLY;
        rustix::mount::mount_remount(&small.path, flags, c"").unwrap();
        let state = StateDir::open(&path).unwrap();
        assert_eq!(state.current().unwrap().digest.to_string(), digest);
        let loaded = state.artifacts(&state.current().unwrap()).unwrap();
        assert_eq!(policy_digest(&loaded), digest);
        let (other, other_digest) = policy("two.example");
        for error in [
            state.keep(&other, &other_digest).map(drop).unwrap_err(),
            state.write_json("count", &2).unwrap_err(),
            StateDir::open(&small.path.join("new")).map(drop).unwrap_err(),
        ] {
            assert!(error.to_string().contains("Read-only file system"), "{error}");
        }
        assert_eq!(state.read_json::<u32>("count").unwrap(), Some(1));
        assert_eq!(names(&path.join("policies")), ["1", "7", "current"]);
        // It is over: what was left goes with the next start.
        drop(state);
        rustix::mount::mount_remount(&small.path, rustix::mount::MountFlags::empty(), c"").unwrap();
        check_whole(&StateDir::open(&path).unwrap(), &path, Some(&digest));
    });
}
