//! The fuzz target of what says who vouches for a policy: `manifest.sig`, and the keys that make and check it.

use std::sync::LazyLock;

use outcall_schema::signing::{PublicKey, Signatures, SigningKey, Trust};

pub(super) const WORDS: &[&str] = &[
    "outcall-signature 1\n",
    "outcall-signature 2\n",
    "ed25519 ",
    "ed25519ph ",
    "sha256:",
    " ",
    "\n",
    "\r\n",
    "00000000000000000000000000000000",
    "ffffffffffffffffffffffffffffffff",
    concat!("-----", "BEGIN PUBLIC KEY-----\n"),
    "-----END PUBLIC KEY-----\n",
    "MCowBQYDK2VwAyEA",
];

const MANIFEST: &[u8] = b"{\"version\": 1}\n";

/// What trusts a key of this process, and what that key signed.
struct Signed {
    trust: Trust,
    alone: Vec<u8>,
    with_another: Vec<u8>,
}

static SIGNED: LazyLock<Option<Signed>> = LazyLock::new(|| {
    let (key, other) = (SigningKey::generate().ok()?, SigningKey::generate().ok()?);
    let mut trust = Trust::unsigned();
    trust.add_pem(&key.public().ok()?.to_pem()).ok()?;
    let keys = [key, other];
    let alone = Signatures::make(MANIFEST, keys.get(..1)?).ok()?.to_bytes();
    Some(Signed { trust, alone, with_another: Signatures::make(MANIFEST, &keys).ok()?.to_bytes() })
});

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = SIGNED.iter().flat_map(|it| [it.alone.clone(), it.with_another.clone()]).collect();
    if let Ok(key) = SigningKey::generate() {
        seeds.extend(key.public().map(|public| public.to_pem().into_bytes()));
        seeds.extend(key.to_pem().map(|private| private.as_bytes().to_vec()));
    }
    seeds
}

/// Nothing is fatal, what is read has one form, and what is accepted has the one line that our key made.
pub(super) fn check(input: &[u8]) {
    if let Ok(signatures) = Signatures::from_bytes(input) {
        assert_eq!(signatures.to_bytes(), input);
    }
    if let Some(Signed { trust, alone, .. }) = SIGNED.as_ref()
        && trust.check(MANIFEST, Some(input)).is_ok()
    {
        let line = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert!(line(alone).iter().all(|ours| line(input).contains(ours)), "a signature that nobody made");
    }
    let text = String::from_utf8_lossy(input);
    for key in PublicKey::all_from_pem(&text).into_iter().flatten() {
        assert_eq!(PublicKey::all_from_pem(&key.to_pem()), Ok(vec![key]));
    }
    if let Ok(key) = SigningKey::from_pem(&text) {
        assert!(key.to_pem().is_ok_and(|pem| SigningKey::from_pem(&pem).is_ok()));
    }
}
