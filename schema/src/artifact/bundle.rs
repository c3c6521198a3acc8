//! The artifacts of one policy in one piece of bytes, as they are uploaded.
//!
//! A magic, a version, then each file with its name and size. It says nothing of what is in the files: the manifest among
//! them does, with their digests, and whoever loads them checks it.

use super::ArtifactError;
use super::manifest::file;

/// The first bytes.
const MAGIC: &[u8; 8] = b"OUTCBNDL";
/// The format version. Changelog: 1, the first.
const VERSION: u32 = 1;
/// The files that there may be, in this order; the last may be missing.
const NAMES: [&str; 5] = [file::MANIFEST, file::NFT, file::DNS, file::PROXY, file::SIGNATURE];
/// Those that there must be.
const REQUIRED: usize = 4;

/// The artifacts of one policy. Nothing of them has been checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    /// `manifest.json`.
    pub manifest: Vec<u8>,
    /// `outcall.nft`.
    pub nft: Vec<u8>,
    /// `dns.table`.
    pub dns: Vec<u8>,
    /// `proxy.prog`.
    pub proxy: Vec<u8>,
    /// `manifest.sig`, where the policy is signed.
    pub signature: Option<Vec<u8>>,
}

impl Bundle {
    /// The files that there are, with their names.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let Bundle { manifest, nft, dns, proxy, signature } = self;
        let required = [manifest, nft, dns, proxy].map(Vec::as_slice);
        NAMES.into_iter().zip(required.into_iter().chain(signature.as_deref()))
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let size: usize = self.files().map(|(name, bytes)| name.len() + bytes.len() + 12).sum();
        let mut out = Vec::with_capacity(size + 16);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        let count = if self.signature.is_some() { NAMES.len() } else { REQUIRED };
        out.extend_from_slice(&(count as u32).to_le_bytes());
        for (name, bytes) in self.files() {
            out.extend_from_slice(&(name.len() as u32).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        out
    }

    /// Takes bytes apart.
    ///
    /// # Errors
    /// Anything but what [`Bundle::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Bundle, ArtifactError> {
        let mut left = bytes;
        if take(&mut left, MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
            return Err(ArtifactError::Magic { expected: "bundle of artifacts" });
        }
        let version = u32::from_le_bytes(number(&mut left)?);
        if version != VERSION {
            return Err(ArtifactError::Version { found: version, supported: VERSION });
        }
        let count = u32::from_le_bytes(number(&mut left)?) as usize;
        if count != REQUIRED && count != NAMES.len() {
            return Err(ArtifactError::Invalid("a policy consists of four files, and a fifth where it is signed"));
        }
        let mut files = NAMES.into_iter().take(count).map(|name| member(&mut left, name));
        let mut next = || files.next().unwrap_or(Err(ArtifactError::Length));
        let (manifest, nft, dns, proxy) = (next()?, next()?, next()?, next()?);
        let signature = files.next().transpose()?;
        if !left.is_empty() {
            return Err(ArtifactError::Length);
        }
        Ok(Bundle { manifest, nft, dns, proxy, signature })
    }
}

/// The file that must come next.
fn member(left: &mut &[u8], expected: &'static str) -> Result<Vec<u8>, ArtifactError> {
    let length = u32::from_le_bytes(number(left)?) as usize;
    if take(left, length)? != expected.as_bytes() {
        return Err(ArtifactError::Invalid("the files are not those of a policy, in their order"));
    }
    let length = usize::try_from(u64::from_le_bytes(number(left)?)).map_err(|_| ArtifactError::Length)?;
    Ok(take(left, length)?.to_vec())
}

fn number<const BYTES: usize>(left: &mut &[u8]) -> Result<[u8; BYTES], ArtifactError> {
    take(left, BYTES)?.try_into().map_err(|_| ArtifactError::Length)
}

fn take<'a>(left: &mut &'a [u8], length: usize) -> Result<&'a [u8], ArtifactError> {
    let (taken, rest) = left.split_at_checked(length).ok_or(ArtifactError::Length)?;
    *left = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(signature: Option<&[u8]>) -> Bundle {
        Bundle {
            manifest: b"{}".to_vec(),
            nft: Vec::new(),
            dns: vec![1; 300],
            proxy: vec![2],
            signature: signature.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_shorter_or_longer() {
        for signature in [None, Some(b"".as_slice()), Some(b"sig")] {
            let bundle = bundle(signature);
            let bytes = bundle.to_bytes();
            assert_eq!(Bundle::from_bytes(&bytes), Ok(bundle));
            for length in 0..bytes.len() {
                assert!(Bundle::from_bytes(&bytes[..length]).is_err(), "{length}");
            }
            assert_eq!(Bundle::from_bytes(&[bytes, vec![0]].concat()), Err(ArtifactError::Length));
        }
    }

    #[test]
    fn other_kinds_versions_files_and_sizes_are_refused() {
        let good = bundle(None).to_bytes();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Bundle::from_bytes(&bytes)
        };
        assert_eq!(with(0, b'X'), Err(ArtifactError::Magic { expected: "bundle of artifacts" }));
        assert_eq!(with(8, 2), Err(ArtifactError::Version { found: 2, supported: 1 }));
        for count in [0, 1, 3, 5, 6, 255] {
            assert!(with(12, count).is_err(), "{count}");
        }
        // The first name's length, the first name, and the highest byte of the first file's size.
        for (at, byte) in [(16, 14), (16, 12), (19, 255), (20, b'M'), (20 + 13 + 7, 255)] {
            assert!(with(at, byte).is_err(), "{at}");
        }
    }
}
