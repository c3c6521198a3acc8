//! Policies on the disk: the one in force, those before it, and the one that is being put in force.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use outcall_schema::artifact::ArtifactError;
use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::manifest::file;

use super::history::{self, History};
use super::{Inner, Known, POLICIES, StateDir, StateError, disk};
use crate::load::{Artifacts, Authority, Links, LoadError, Trust};
use crate::snapshot::Snapshot;

/// A policy that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Its number; later ones are larger.
    pub number: u64,
    /// The policy's digest.
    pub digest: Digest,
}

impl StateDir {
    /// The policy that was promoted last, if there is any.
    pub fn current(&self) -> Option<Generation> {
        self.generations().first().copied()
    }

    /// The one that [`StateDir::back`] leads to.
    pub fn previous(&self) -> Option<Generation> {
        self.generations().get(1).copied()
    }

    /// All that are kept, the current one first.
    pub fn generations(&self) -> Vec<Generation> {
        self.inner.known().history.rows().to_vec()
    }

    /// Writes a policy to the disk, beside the current one, so that putting it in force later takes one step that needs no
    /// space. Everything is on the disk when this returns. One at a time.
    ///
    /// `digest` is the policy's, as [`Snapshot::digest`] gives it after [`Artifacts::verify`].
    ///
    /// # Errors
    /// A disk that is full or may only be read, and [`StateError::UnderWay`]. Then nothing is left of it.
    pub fn pending(&self, artifacts: &Artifacts, digest: &str) -> Result<Pending, StateError> {
        let digest = digest.parse().map_err(|_| StateError::Name(digest.escape_default().take(80).collect()))?;
        let claim = Claim::new(&self.inner)?;
        let (number, next) = {
            let mut known = self.inner.known();
            let number = known.next;
            known.next = number.saturating_add(1);
            (number, known.history.with(number, digest))
        };
        let pending = Pending { claim, generation: Generation { number, digest }, made: true, next };
        // Dropping it takes back what has been written when something fails.
        pending.write(Some(artifacts)).map_err(self.failed("keep the policy in"))?;
        Ok(pending)
    }

    /// The same for the policy before the current one, which is on the disk already; `None` where there is none. Its
    /// promotion forgets the current one.
    ///
    /// # Errors
    /// As [`StateDir::pending`].
    pub fn back(&self) -> Result<Option<Pending>, StateError> {
        let claim = Claim::new(&self.inner)?;
        let Some(next) = self.inner.known().history.back() else { return Ok(None) };
        let Some(generation) = next.rows().first().copied() else { return Ok(None) };
        let pending = Pending { claim, generation, made: false, next };
        pending.write(None).map_err(self.failed("go back in"))?;
        Ok(Some(pending))
    }

    /// Keeps a policy as the current one at once.
    ///
    /// # Errors
    /// As [`StateDir::pending`] and [`Pending::promote`].
    pub fn keep(&self, artifacts: &Artifacts, digest: &str) -> Result<Generation, StateError> {
        let pending = self.pending(artifacts, digest)?;
        let generation = pending.generation();
        pending.promote()?;
        Ok(generation)
    }

    /// The files of a policy that is kept, each read once, not judged.
    ///
    /// # Errors
    /// A file that is not there or is not one.
    pub fn artifacts(&self, generation: &Generation) -> Result<Artifacts, LoadError> {
        let directory = disk::open_directory(&self.inner.policies, &generation.number.to_string())
            .map_err(|source| LoadError::Read { file: file::MANIFEST, source })?;
        Artifacts::read_in(&directory, Links::Refused)
    }

    /// A policy that is kept, verified like any other: it must be signed by a key that is trusted now, and be the one that
    /// was kept.
    ///
    /// # Errors
    /// Whatever [`Artifacts::verify`] refuses, and another policy in its place.
    pub fn load(
        &self,
        generation: &Generation,
        trust: &Trust,
        authority: Authority,
    ) -> Result<(Artifacts, Snapshot), LoadError> {
        let artifacts = self.artifacts(generation)?;
        let snapshot = artifacts.verify(trust, authority)?;
        if snapshot.digest() != generation.digest.to_string() {
            return Err(LoadError::Artifact { file: file::MANIFEST, source: ArtifactError::Digest });
        }
        Ok((artifacts, snapshot))
    }

    fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> StateError {
        self.inner.failed(what)
    }
}

impl Inner {
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        // What is behind it is changed in single assignments.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> StateError {
        move |source| StateError::Io { what, path: self.path.join(POLICIES), source }
    }
}

/// The right to be the one policy that is under way, given back on drop.
#[derive(Debug)]
struct Claim {
    inner: Arc<Inner>,
}

impl Claim {
    fn new(inner: &Arc<Inner>) -> Result<Claim, StateError> {
        if inner.under_way.swap(true, Ordering::AcqRel) {
            return Err(StateError::UnderWay);
        }
        Ok(Claim { inner: Arc::clone(inner) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.inner.under_way.store(false, Ordering::Release);
    }
}

/// A policy that is on the disk and would be the current one if [`Pending::promote`] were called. Dropping it removes it.
///
/// A load asks for this before it changes anything, and promotes it after everything is changed. A process that is killed
/// between the two starts with the policy before.
#[derive(Debug)]
#[must_use = "dropping it removes the policy from the disk"]
pub struct Pending {
    claim: Claim,
    generation: Generation,
    /// Whether the files were written for this, and are removed with it.
    made: bool,
    next: History,
}

impl Pending {
    /// Which one it is.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    fn write(&self, artifacts: Option<&Artifacts>) -> io::Result<()> {
        let policies = &self.claim.inner.policies;
        if let Some(artifacts) = artifacts {
            let directory = disk::make_directory(policies, &self.generation.number.to_string())?;
            for (name, bytes) in artifacts.files() {
                disk::write_new(&directory, name, bytes)?;
            }
            disk::synchronise(&directory)?;
        }
        disk::remove(policies, history::NEXT)?;
        disk::write_new(policies, history::NEXT, &self.next.to_bytes())?;
        disk::synchronise(policies)
    }

    /// Makes it the current one, in one step, and forgets those that are more than five.
    ///
    /// # Errors
    /// What the system says. After a restart it is then the old one or this one, whole.
    pub fn promote(mut self) -> Result<(), StateError> {
        let inner = Arc::clone(&self.claim.inner);
        disk::replace(&inner.policies, history::NEXT, history::FILE).map_err(inner.failed("replace `current` in"))?;
        self.made = false;
        inner.known().history = std::mem::take(&mut self.next);
        disk::synchronise(&inner.policies).map_err(inner.failed("synchronise"))?;
        let history = inner.known().history.clone();
        clean(&inner.policies, &history);
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let policies = &self.claim.inner.policies;
        // What cannot be removed now is removed when the directory is opened the next time.
        let _ = disk::remove(policies, history::NEXT);
        if self.made {
            let _ = disk::remove_all(policies, &self.generation.number.to_string());
        }
    }
}

/// Removes generations that are not in the list, and a list that took no other's place. Gives a number that no generation
/// has. What cannot be removed stays until the next time.
pub(super) fn clean(policies: &OwnedFd, history: &History) -> u64 {
    let mut next = history.rows().iter().map(|row| row.number).max().unwrap_or_default();
    for name in disk::names(policies).unwrap_or_default() {
        let Some(name) = name.to_str() else { continue };
        match name.parse::<u64>() {
            Ok(number) if number.to_string() == name => {
                next = next.max(number);
                if !history.has(number) {
                    let _ = disk::remove_all(policies, name);
                }
            }
            Ok(_) | Err(_) if name == history::NEXT => drop(disk::remove(policies, name)),
            Ok(_) | Err(_) => {}
        }
    }
    next.saturating_add(1)
}
