//! How headers are set, what placeholders become, and what a pin lets out.

use super::*;

const SECRET: &str = "sk-0123456789";

fn secret() -> Secret {
    Secret::of(&Zeroizing::new(SECRET.into())).unwrap()
}

fn whole(header: &str, value: &str) -> Set {
    Set { header: header.into(), value: Value::Whole(Zeroizing::new(value.into())) }
}

fn in_place(header: &str) -> Set {
    Set { header: header.into(), value: Value::InPlace { placeholder: "outcall-secret-x".into(), secret: secret() } }
}

fn enrichment(sets: Vec<Set>, pins: &[(&str, &str)]) -> Enrichment {
    let pin = |(number, (header, value)): (usize, &(&str, &str))| Pin {
        header: (*header).into(),
        digest: Digest::of(value.as_bytes()),
        rule: RuleIndex(u32::try_from(number).unwrap()),
    };
    let pins = pins.iter().enumerate().map(pin).collect();
    Enrichment { sets, pins, secrets: Secrets::default(), used: vec![secret()] }
}

fn head(enrichment: &Enrichment, lines: &str) -> Result<String, Refusal> {
    let (head, _) = enrichment.head(format!("GET /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes())?;
    let head = String::from_utf8(head.to_vec()).unwrap();
    Ok(head.strip_prefix("GET /x HTTP/1.1\r\nHost: a\r\n").unwrap().strip_suffix("\r\n").unwrap().to_owned())
}

#[track_caller]
fn check(set: Set, lines: &str, expected: &str) {
    assert_eq!(head(&enrichment(vec![set], &[]), lines).unwrap(), expected, "{lines:?}");
}

#[test]
fn a_header_is_there_once_whatever_the_agent_sent() {
    let set = || whole("Authorization", "Bearer sk-0123456789");
    let good = "Authorization: Bearer sk-0123456789\r\n";
    check(set(), "", good);
    check(set(), "X:  y \r\n", &format!("X:  y \r\n{good}"));
    check(set(), "Authorization: mine\r\nX: y\r\n", &format!("{good}X: y\r\n"));
    check(set(), "authorization:\r\n", &good.replace('A', "a"));
    check(
        set(),
        "AUTHORIZATION: a\r\nX: y\r\nAuthorization: b\r\n",
        &format!("{}X: y\r\n", good.replace("Authorization", "AUTHORIZATION")),
    );
    check(whole("X-Api-Key", "k"), "X_Api_Key: mine\r\nX: y\r\n", "X: y\r\nX-Api-Key: k\r\n");
    check(whole("X-Api-Key", "k"), "x_api-key: mine\r\nx-api-key: mine\r\n", "x-api-key: k\r\n");
    check(whole("X-Api-Key", "k"), "X-Api-Keys: mine\r\n", "X-Api-Keys: mine\r\nX-Api-Key: k\r\n");
}

#[test]
fn a_placeholder_is_swapped_where_it_stands_in_that_header_and_nowhere_else() {
    let encode = |text: &str| String::from_utf8(base64::encode(text.as_bytes()).to_vec()).unwrap();
    for (sent, expected) in [
        ("Bearer outcall-secret-x", "Bearer sk-0123456789".to_owned()),
        ("outcall-secret-x", SECRET.to_owned()),
        (
            "token=\"outcall-secret-x\", again=outcall-secret-x;",
            "token=\"sk-0123456789\", again=sk-0123456789;".to_owned(),
        ),
        (&format!("Basic {}", encode("user:outcall-secret-x")), format!("Basic {}", encode("user:sk-0123456789"))),
        (&format!("bAsic  {}", encode("outcall-secret-x:")), format!("bAsic {}", encode("sk-0123456789:"))),
        // No placeholder of this secret: it is the whole value.
        ("Bearer mine", SECRET.to_owned()),
        ("Bearer outcall-secret-x2", SECRET.to_owned()),
        ("Bearer outcall-secret-", SECRET.to_owned()),
        ("Bearer my-outcall-secret-x", SECRET.to_owned()),
        ("Basic !!!", SECRET.to_owned()),
        (&format!("Basic {}", encode("user:mine")), SECRET.to_owned()),
        (&format!("Digest {}", encode("user:outcall-secret-x")), SECRET.to_owned()),
    ] {
        check(
            in_place("Authorization"),
            &format!("Authorization: {sent}\r\n"),
            &format!("Authorization: {expected}\r\n"),
        );
    }
    check(in_place("X-Key"), "", "X-Key: sk-0123456789\r\n");
    check(in_place("X-Key"), "X-Other: outcall-secret-x\r\n", "X-Other: outcall-secret-x\r\nX-Key: sk-0123456789\r\n");
    check(in_place("X-Key"), "X-Key: a outcall-secret-x\r\nX-Key: outcall-secret-x\r\n", "X-Key: sk-0123456789\r\n");
    let many = "outcall-secret-x ".repeat(3000);
    let refusal = head(&enrichment(vec![in_place("X-Key")], &[]), &format!("X-Key: {many}\r\n")).unwrap_err();
    assert_eq!(refusal.reason, Reason::HeadTooLarge);
}

#[test]
fn what_could_hide_an_echo_is_not_asked_for() {
    for (line, expected) in [
        ("Accept-Encoding: gzip, deflate, br\r\n", "Accept-Encoding: gzip, deflate, br\r\n"),
        ("accept-encoding: gzip;q=1.0, zstd, br;q=0.5, *;q=0\r\n", "accept-encoding: gzip;q=1.0, br;q=0.5\r\n"),
        ("Accept-Encoding: dcb, zstd\r\n", "Accept-Encoding: identity\r\n"),
        ("Accept-Encoding: *\r\n", "Accept-Encoding: identity\r\n"),
        ("Range: bytes=0-3\r\nIf-Range: \"x\"\r\nA: b\r\n", "A: b\r\n"),
        ("Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: x\r\n", "Sec-WebSocket-Key: x\r\n"),
        ("grpc-accept-encoding: gzip\r\nA-IM: vcdiff\r\n", ""),
    ] {
        check(whole("X-Key", SECRET), line, &format!("{expected}X-Key: {SECRET}\r\n"));
    }
    // Where no secret goes out, nothing can be echoed.
    let open = Enrichment { used: Vec::new(), ..enrichment(vec![whole("X-Team", "a")], &[]) };
    let lines = "Range: bytes=0-3\r\nAccept-Encoding: zstd\r\n";
    assert_eq!(head(&open, lines).unwrap(), format!("{lines}X-Team: a\r\n"));
    assert!(open.apply(std::iter::empty()).unwrap().redaction.is_none());
}

#[test]
fn a_pin_lets_out_the_one_value_once() {
    let pinned = enrichment(Vec::new(), &[("x-other", "fine"), ("authorization", "Bearer ours")]);
    let ask = |lines: &str| head(&pinned, lines).map_err(|refusal| (refusal.reason, refusal.rule));
    for good in ["X-Other: fine\r\nAuthorization: Bearer ours\r\n", "authorization:  Bearer ours \r\nx-other: fine\r\n"]
    {
        assert_eq!(ask(good).as_deref(), Ok(good));
    }
    for bad in [
        "X-Other: fine\r\n",
        "X-Other: fine\r\nAuthorization: Bearer theirs\r\n",
        "X-Other: fine\r\nAuthorization: bearer ours\r\n",
        "X-Other: fine\r\nAuthorization: Bearer ours\r\nAuthorization: Bearer ours\r\n",
        "X-Other: fine\r\nAuthorization: Bearer ours\r\nauthorization: Bearer theirs\r\n",
        "X-Other: fine\r\nAuthorization:\r\n",
    ] {
        assert_eq!(ask(bad), Err((Reason::CredentialRefused, Some(RuleIndex(1)))), "{bad}");
    }
    let bad = "X-Other: fine\r\nX_Other: fine\r\nAuthorization: Bearer ours\r\n";
    assert_eq!(ask(bad), Err((Reason::CredentialRefused, Some(RuleIndex(0)))));
    // What is injected counts, and not what the agent sent.
    let both = enrichment(vec![whole("Authorization", "Bearer ours")], &[("authorization", "Bearer ours")]);
    assert!(head(&both, "").is_ok() && head(&both, "Authorization: Bearer theirs\r\n").is_ok());
    let other = enrichment(vec![whole("Authorization", "Bearer rotated")], &[("authorization", "Bearer ours")]);
    let detail = head(&other, "Authorization: Bearer ours\r\n").unwrap_err().detail.unwrap();
    assert_eq!(detail, "the header `authorization` is another one");
}

#[test]
fn what_tells_a_credential_is_looked_for_by_itself() {
    let texts = |value: &str| -> Vec<String> {
        telling(value.as_bytes()).iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
    };
    assert_eq!(texts("Bearer sk-0123456789"), ["Bearer sk-0123456789", "sk-0123456789"]);
    assert_eq!(texts("sk-0123456789"), ["sk-0123456789"]);
    assert_eq!(
        texts("Basic dXNlcjpvcGVuIHNlc2FtZQ=="),
        ["Basic dXNlcjpvcGVuIHNlc2FtZQ==", "dXNlcjpvcGVuIHNlc2FtZQ==", "open sesame", "user:open sesame",]
    );
    assert_eq!(texts("Basic dTpwdw=="), ["Basic dTpwdw==", "dTpwdw==", "u:pw"]);
}
