//! What verifies, what does not, and what never will again.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use proptest::prelude::*;

use super::*;
use crate::artifact::digest::Digest;
use crate::pem;

const MANIFEST: &[u8] = b"{\n  \"version\": 1\n}\n";

fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

fn trust(keys: &[&SigningKey]) -> Trust {
    let mut trust = Trust::unsigned();
    for key in keys {
        trust.add_pem(&key.public().unwrap().to_pem()).unwrap();
    }
    trust
}

fn signed(keys: &[&SigningKey], manifest: &[u8]) -> Vec<u8> {
    let keys: Vec<SigningKey> = keys.iter().map(|key| SigningKey::from_pem(&key.to_pem().unwrap()).unwrap()).collect();
    Signatures::make(manifest, &keys).unwrap().to_bytes()
}

/// Whether the signatures are accepted, and what is said where they are not.
#[track_caller]
fn check(trust: &Trust, manifest: &[u8], signatures: Option<&[u8]>, expected: Result<&[&SigningKey], &str>) {
    match (trust.check(manifest, signatures), expected) {
        (Ok(found), Ok(keys)) => {
            let ids: Vec<Digest> = keys.iter().map(|key| key.public().unwrap().id()).collect();
            assert_eq!(found, ids);
        }
        (Err(error), Err(expected)) => {
            assert!(error.to_string().contains(expected), "{error}\nis not about: {expected}");
        }
        (found, expected) => panic!("{found:?} is not {expected:?}"),
    }
}

#[test]
fn a_signature_of_a_trusted_key_is_accepted_and_nothing_else_is() {
    let (ours, other) = (key(), key());
    let trust = trust(&[&ours]);
    let signature = signed(&[&ours], MANIFEST);
    check(&trust, MANIFEST, Some(&signature), Ok(&[&ours]));
    check(&trust, MANIFEST, None, Err("there is no such file"));
    check(&trust, MANIFEST, Some(b""), Err("not a file of signatures"));
    check(&trust, MANIFEST, Some(&signed(&[&other], MANIFEST)), Err("no signature by a trusted key"));
    check(&trust, b"{\n  \"version\": 1\n}", Some(&signature), Err("is not one of this manifest.json"));
    check(&trust, b"", Some(&signature), Err("is not one of this manifest.json"));
}

#[test]
fn without_trusted_keys_nothing_is_asked() {
    for signatures in [None, Some(signed(&[&key()], b"other")), Some(b"nonsense".to_vec())] {
        check(&Trust::unsigned(), MANIFEST, signatures.as_deref(), Ok(&[]));
    }
}

#[test]
fn keys_change_without_a_gap() {
    let (old, new, other) = (key(), key(), key());
    let both = signed(&[&old, &new], MANIFEST);
    assert_eq!(both, signed(&[&new, &old, &new], MANIFEST), "the order in which they are named says nothing");
    check(&trust(&[&old]), MANIFEST, Some(&both), Ok(&[&old]));
    check(&trust(&[&new]), MANIFEST, Some(&both), Ok(&[&new]));
    check(&trust(&[&old, &new]), MANIFEST, Some(&both), Ok(&[&old, &new]));
    check(&trust(&[&other, &new]), MANIFEST, Some(&signed(&[&new], MANIFEST)), Ok(&[&new]));
    check(&trust(&[&other]), MANIFEST, Some(&both), Err("no signature by a trusted key"));
}

#[test]
fn one_good_signature_does_not_make_up_for_a_bad_one_of_a_trusted_key() {
    let (one, two) = (key(), key());
    let (good, bad) = (signed(&[&one], MANIFEST), signed(&[&two], b"other"));
    let lines = |file: &[u8]| String::from_utf8(file.to_vec()).unwrap().lines().nth(1).unwrap().to_owned();
    let mut rows = [lines(&good), lines(&bad)];
    rows.sort();
    let mixed = format!("outcall-signature 1\n{}\n{}\n", rows[0], rows[1]);
    check(&trust(&[&one]), MANIFEST, Some(mixed.as_bytes()), Ok(&[&one]));
    check(&trust(&[&one, &two]), MANIFEST, Some(mixed.as_bytes()), Err("is not one of this manifest.json"));
}

#[test]
fn a_signature_over_the_manifest_alone_or_over_anything_else_is_none() {
    let key = key();
    for context in [b"".as_slice(), b"outcall-manifest-signature-v2\0", b"outcall-manifest-signature-v1"] {
        let signed = [context, MANIFEST].concat();
        let public = key.public().unwrap();
        let pkcs8 = pem::decode(&key.to_pem().unwrap()).unwrap();
        let pair = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(&pkcs8[0].bytes).unwrap();
        let signature: [u8; 64] = pair.sign(&signed).as_ref().try_into().unwrap();
        assert!(public.verifies(&signed, &signature));
        assert!(!public.verifies(&message(MANIFEST), &signature));
    }
}

#[test]
fn there_is_one_form_and_no_other() {
    let (one, two) = (key(), key());
    let file = String::from_utf8(signed(&[&one, &two], MANIFEST)).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    assert_eq!(Signatures::from_bytes(file.as_bytes()).unwrap().keys().count(), 2);
    assert!(file.len() as u64 * 4 < SIGNATURES_MAX_BYTES * 2);
    let head = format!("{}\n", lines[0]);
    for (text, expected) in [
        (String::new(), "its first line has no end"),
        (head.clone(), "not one to eight"),
        (format!("{head}\n"), "a line is not"),
        (file.replacen('1', "2", 1), "version 2 is not supported"),
        (file.replacen('1', "01", 1), "not in the one form"),
        (file.replacen('1', "+1", 1), "not in the one form"),
        (file.replacen('1', "99999999999", 1), "its first line is not"),
        (file.replacen("signature", "signatures", 1), "its first line is not"),
        (file.replace('\n', "\r\n"), "its first line is not"),
        (file.trim_end().to_owned(), "not in the one form"),
        (format!("{file}\n"), "a line is not"),
        (format!(" {file}"), "its first line is not"),
        (format!("\u{feff}{file}"), "its first line is not"),
        (format!("{head}{}\n{}\n", lines[2], lines[1]), "not in order"),
        (format!("{head}{}\n{}\n", lines[1], lines[1]), "not in order"),
        (format!("{head}{}", format!("{}\n", lines[1]).repeat(9)), "not one to eight"),
        (file.replace("ed25519 ", "ed25519  "), "a line is not"),
        (file.replace("ed25519 ", "ed25519ph "), "a line is not"),
        (file.replace("ed25519 ", "rsa "), "a line is not"),
        (file.replace("sha256:", "SHA256:"), "a line is not"),
        (file.replace(['a', 'b', 'c', 'd', 'e', 'f'], "A"), "its first line is not"),
        (format!("{head}{}\n", lines[1].to_uppercase().replace("ED25519 SHA", "ed25519 sha")), "not in the one form"),
        (format!("{head}{}0\n", lines[1]), "a line is not"),
        (format!("{head}{} \n", lines[1]), "a line is not"),
    ] {
        let error = Signatures::from_bytes(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    assert!(Signatures::from_bytes(&[&file.as_bytes()[..60], &[0xff]].concat()).is_err());
}

#[test]
fn keys_survive_their_text_and_do_not_show_themselves() {
    let key = key();
    let public = key.public().unwrap();
    assert_eq!(SigningKey::from_pem(&key.to_pem().unwrap()).unwrap().public().unwrap(), public);
    assert_eq!(PublicKey::all_from_pem(&public.to_pem()).unwrap(), [public]);
    let der = pem::decode(&public.to_pem()).unwrap();
    assert_eq!((der[0].bytes.len(), public.id()), (44, Digest::of(&der[0].bytes)));
    assert_eq!(format!("{key:?}"), "SigningKey(..)");
}

#[test]
fn what_is_no_key_is_refused() {
    let (one, other) = (key(), key());
    let (private, public) = (one.to_pem().unwrap(), one.public().unwrap().to_pem());
    let rsa = crate::ca::PrivateKey::generate(crate::ca::Algorithm::EcdsaP256).unwrap().to_pem().unwrap();
    for (text, expected) in [
        (String::new(), KeyError::NoPrivateKey),
        (public.clone(), KeyError::NoPrivateKey),
        (format!("{}{}", *private, *private), KeyError::NoPrivateKey),
        (format!("{}{public}", *private), KeyError::NoPrivateKey),
        (private.replace("PRIVATE", "ENCRYPTED PRIVATE"), KeyError::Pem("the private key must not be encrypted")),
        (private.replace("PRIVATE", "EC PRIVATE"), KeyError::Kind),
        (rsa.to_string(), KeyError::Kind),
        (pem::encode("PRIVATE KEY", b"nonsense").to_string(), KeyError::Kind),
    ] {
        assert_eq!(SigningKey::from_pem(&text).map(drop), Err(expected), "{text}");
    }
    for (text, expected) in [
        (String::new(), KeyError::NoPublicKey),
        (private.to_string(), KeyError::NotPublic),
        (format!("{public}{}", *private), KeyError::NotPublic),
        (public.replace("PUBLIC KEY", "CERTIFICATE"), KeyError::NoPublicKey),
        (pem::encode("PUBLIC KEY", b"nonsense").to_string(), KeyError::Kind),
        (
            pem::encode("PUBLIC KEY", &[&pem::decode(&public).unwrap()[0].bytes[..], &[0]].concat()).to_string(),
            KeyError::Kind,
        ),
    ] {
        assert_eq!(PublicKey::all_from_pem(&text).map(drop), Err(expected), "{text}");
    }
    let mut trust = trust(&[&one]);
    let several = format!("{public}{}", other.public().unwrap().to_pem());
    trust.add_pem(&several).unwrap();
    assert_eq!(trust.ids().count(), 2, "each once");
    assert!(trust.add_pem(&format!("{several}{}", *private)).is_err());
    assert_eq!(trust.ids().count(), 2);
}

/// That these keys are weak is shown by forging: the signature is the neutral point and zero, which needs no secret.
#[test]
fn a_key_that_anybody_can_sign_for_is_refused() {
    let hex = |text: &str| -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    };
    let mut forged = [0; 64];
    forged[0] = 1;
    for canonical in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let key = hex(canonical);
        let fits = (0_u32..200).any(|number| {
            UnparsedPublicKey::new(&ED25519, &key).verify(&message(&number.to_be_bytes()), &forged).is_ok()
        });
        assert!(fits, "{canonical} is weak");
        for sign in [0, 0x80] {
            let mut key = key;
            key[31] |= sign;
            assert_eq!(PublicKey::of(key), Err(KeyError::Weak), "{canonical}");
        }
    }
    // Zero and one again, as numbers that are not reduced.
    for again in [
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        assert_eq!(PublicKey::of(hex(again)), Err(KeyError::Weak), "{again}");
    }
    assert!(PublicKey::of(hex("ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")).is_ok());
    assert!(PublicKey::of(hex("0200000000000000000000000000000000000000000000000000000000000000")).is_ok());
}

#[test]
fn a_file_that_others_can_change_says_nothing_about_trust() {
    for (mode, owner) in [(0o100_644, 7), (0o100_600, 0), (0o100_444, 0), (0o100_755, 7)] {
        assert_eq!(exposed_to_change(mode, owner, 7), None);
    }
    for mode in [0o100_664, 0o100_646, 0o100_666, 0o100_620] {
        assert!(exposed_to_change(mode, 7, 7).is_some_and(|why| why.contains("others can change it")), "{mode:o}");
    }
    assert!(exposed_to_change(0o100_644, 8, 7).is_some_and(|why| why.contains("user 8")));
}

/// One change of some bytes, as somebody's editor, a bad disk or an attacker makes it.
fn edited(bytes: &[u8], kind: u8, at: usize, length: usize, with: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at % bytes.len();
    let end = (at + length).min(bytes.len());
    match kind % 6 {
        0 => bytes[at] ^= 1 << (with % 8),
        1 => bytes[at] = with,
        2 => bytes.insert(at, with),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        _ => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
    }
    bytes
}

proptest! {
    #[test]
    fn no_edit_of_either_file_verifies(
        kinds in proptest::collection::vec((any::<u8>(), any::<usize>(), 0_usize..200, any::<u8>()), 1..4),
        which in 0_u8..3,
    ) {
        let key = key();
        let trust = trust(&[&key]);
        let good = signed(&[&key], MANIFEST);
        let (mut manifest, mut signature) = (MANIFEST.to_vec(), good.clone());
        for (kind, at, length, with) in kinds {
            if which != 0 && !manifest.is_empty() {
                manifest = edited(&manifest, kind, at, length, with);
            }
            if which != 1 && !signature.is_empty() {
                signature = edited(&signature, kind.rotate_left(3), at, length, with);
            }
        }
        // An edit may change nothing, or be undone by the next.
        let same = manifest == MANIFEST && signature == good;
        prop_assert_eq!(trust.check(&manifest, Some(&signature)).is_ok(), same);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "[ a-f0-9:\n]{0,300}") {
        prop_assert!(Signatures::from_bytes(&bytes).is_err());
        let text = format!("outcall-signature 1\ned25519 sha256:{text}");
        prop_assert!(Signatures::from_bytes(text.as_bytes()).is_err());
    }
}

/// What was signed by the first version that could is accepted by every later one.
#[test]
fn the_first_signature_verifies_for_ever() {
    let manifest = include_bytes!("../../../golden/formats/signature-1/manifest.json");
    let signature = include_bytes!("../../../golden/formats/signature-1/manifest.sig");
    let hex = include_str!("../../../golden/formats/signature-1/public-key.hex").trim_end();
    let bytes: [u8; 32] = std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap());
    let key = PublicKey::of(bytes).unwrap();
    let mut trust = Trust::unsigned();
    trust.add_pem(&key.to_pem()).unwrap();
    assert_eq!(trust.check(manifest, Some(signature)), Ok(vec![key.id()]));
    assert!(trust.check(&manifest[1..], Some(signature)).is_err());
}
