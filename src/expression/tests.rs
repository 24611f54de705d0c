#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{collections::BTreeMap, time::Duration};

use super::*;

struct Fixture {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    latency: Duration,
    vars: BTreeMap<String, String>,
}

fn answer(status: u16, body: &str) -> Fixture {
    Fixture {
        status,
        headers: vec![("x-served-by".into(), "us-west-2".into())],
        body: body.as_bytes().to_vec(),
        latency: Duration::from_micros(2_310_900),
        vars: BTreeMap::from([("flow".to_owned(), "main".to_owned())]),
    }
}

impl Fixture {
    fn ask<T>(&self, ask: impl FnOnce(&Scope<'_>) -> T) -> T {
        let answer = Answer {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
            latency: self.latency,
            vars: &self.vars,
        };
        ask(&Scope::new(&answer))
    }

    fn why(&self, source: &str) -> String {
        let expression = Expression::compile(source).unwrap();
        self.ask(|scope| scope.holds(&expression)).unwrap_err()
    }

    fn holds(&self, source: &str) -> bool {
        let expression = Expression::compile(source).unwrap();
        self.ask(|scope| scope.holds(&expression)).is_ok()
    }

    fn text(&self, source: &str) -> Option<String> {
        let expression = Expression::compile(source).unwrap();
        self.ask(|scope| scope.text(&expression))
    }
}

const CONTRACT: &[&str] = &[
    "status == 200",
    "body.status == \"ACTIVE\"",
    "body.healthCheck.result == \"PASS\"",
    "latency_ms < 2000",
    "headers[\"x-served-by\"]",
    "body.id",
    "body.status == \"COMPLETED\"",
    "size(body.contacts) > 0",
    "body.status == \"HEALTHY\"",
    "body.components.all(c, body.components[c] == \"UP\")",
    "status in [200, 201, 202]",
    "body.contactId",
    "status < 300",
    "body.siteId",
    "body.state == \"up\"",
];

#[test]
fn every_expression_of_the_contract_compiles() {
    for source in CONTRACT {
        Expression::compile(source).unwrap();
    }
    for source in ["components[\"sip_trunk_use1\"].verdict != \"up\"", "tier1.down > 0"] {
        Expression::compile_for(source, ABORT).unwrap();
    }
}

#[test]
fn what_holds_holds() {
    let fine = answer(
        200,
        r#"{"status":"ACTIVE","n":3,"big":18446744073709551615,"f":1.5,"contacts":[1,2],
        "components":{"acd":"UP","ivr":"UP"},"esc":"a\"b","nil":null}"#,
    );
    for source in [
        "status == 200",
        "status in [200, 201]",
        "body.status == 'ACTIVE' && status == 200",
        "body.n == 3 && body.n + 1 == 4 && body.f > 1.4 && body.f < 2",
        "body.big > 1u",
        "size(body.contacts) == 2",
        "body.components.all(c, body.components[c] == 'UP')",
        "body.contacts.exists(c, c == 2)",
        "body.contacts.map(c, c * 2) == [2, 4]",
        "body.contacts.filter(c, c > 1) == [2]",
        "body.contacts.exists_one(c, c == 2)",
        "headers['x-served-by'] == 'us-west-2'",
        "vars.flow == 'main'",
        "latency_ms == 2310",
        "has(body.status) && !has(body.nothing)",
        "body.status.matches('^ACT') && matches(body.status, 'IVE$')",
        "body.esc == 'a\"b'",
        "body.nil == null",
        "type(body.n) == int",
        "body.status.startsWith('AC') || body.nothing",
    ] {
        assert!(fine.holds(source), "{source}: {}", fine.why(source));
    }
    assert!(answer(200, "ready\n").holds("body.contains('ready')"), "a text body is a string");
}

#[test]
fn what_fails_says_what_it_met() {
    let bad = answer(
        503,
        r#"{"status":"INACTIVE","contacts":[],"a":1,"b":2,"flag":false,
        "components":{"acd":"DOWN"},"text":"it is \u001b[31mred\u202e"}"#,
    );
    for (source, wanted) in [
        ("status == 200", "status == 200 (was 503)"),
        ("200 == status", "200 == status (was 503)"),
        ("body.status == \"ACTIVE\"", "body.status == \"ACTIVE\" (was \"INACTIVE\")"),
        ("latency_ms < 2000", "latency_ms < 2000 (was 2310)"),
        ("size(body.contacts) > 0", "size(body.contacts) > 0 (was 0)"),
        (
            "body.healthCheck.result == \"PASS\"",
            "body.healthCheck.result == \"PASS\" (no such key: healthCheck)",
        ),
        ("body.a == 1 && body.status == 'ACTIVE'", "body.status == 'ACTIVE' (was \"INACTIVE\")"),
        ("body.nothing == 1 && status == 200", "status == 200 (was 503)"),
        ("body.text.contains('&&') && true", "body.text.contains('&&') (was \"it is ·[31mred·\")"),
        ("(body.a == 2 && true) && status == 503", "(body.a == 2 && true) && status == 503"),
        ("body.a == body.b", "body.a == body.b (was 1, against 2)"),
        ("status in [200, 201]", "status in [200, 201] (was 503)"),
        ("body.flag", "body.flag"),
        ("body.a", "body.a (was 1, neither true nor false)"),
        ("body.status.matches('^ACT')", "body.status.matches('^ACT') (was \"INACTIVE\")"),
        (
            "body.components.all(c, body.components[c] == 'UP')",
            "body.components.all(c, body.components[c] == 'UP') (not for \"acd\")",
        ),
        ("body.status > 3", "body.status > 3 (was \"INACTIVE\")"),
        ("headers['x-none'] == 'a'", "headers['x-none'] == 'a' (no such key: x-none)"),
    ] {
        assert_eq!(bad.why(source), wanted);
    }
    assert_eq!(
        answer(200, "<html>").why("body.status == 'UP'"),
        "body.status == 'UP' (the body is not JSON)"
    );
    assert_eq!(answer(200, "").why("body.status == 'UP'"), "body.status == 'UP' (the body is not JSON)");
}

#[test]
fn a_long_value_is_cut() {
    let long = answer(200, &format!(r#"{{"s":"{}"}}"#, "x".repeat(500)));
    let why = long.why("body.s == 'y'");
    assert_eq!(why, format!("body.s == 'y' (was \"{}…\")", "x".repeat(60)));
}

#[test]
fn values_become_texts_and_times() {
    let fine = answer(
        200,
        r#"{"id":"a b","n":7,"f":1.5,"t":true,"nil":null,"l":[1],"at":"2026-05-15T14:32:00.5Z"}"#,
    );
    assert_eq!(fine.text("body.id").as_deref(), Some("a b"));
    assert_eq!(fine.text("body.n").as_deref(), Some("7"));
    assert_eq!(fine.text("body.f").as_deref(), Some("1.5"));
    assert_eq!(fine.text("body.t").as_deref(), Some("true"));
    for none in ["body.nil", "body.l", "body", "body.nothing", "headers['x-none']"] {
        assert_eq!(fine.text(none), None, "{none}");
    }
    for source in ["body.at", "timestamp(body.at)"] {
        let expression = Expression::compile(source).unwrap();
        let at = fine.ask(|scope| scope.time(&expression)).unwrap();
        assert_eq!(at.timestamp_millis(), 1_778_855_520_500, "{source}");
    }
    let expression = Expression::compile("body.id").unwrap();
    assert_eq!(fine.ask(|scope| scope.time(&expression)), None);
}

#[test]
fn a_wrong_expression_says_where() {
    for (source, line, column, part) in [
        ("", 1, 1, "empty"),
        ("status ==", 1, 10, ""),
        ("status == 200 &&\n  stauts == 1", 2, 3, "no variable `stauts`"),
        ("'lenght' == lenght(body)", 1, 13, "no function `lenght`"),
        ("body.all(x, y == 1)", 1, 13, "no variable `y`"),
        ("x == 1 || body.all(x, x == 1)", 1, 1, "no variable `x`"),
        ("body.matches('(')", 1, 6, "bad pattern"),
        ("Foo{a: 1} == 1", 1, 1, "no type `Foo`"),
    ] {
        let error = Expression::compile(source).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{source}: {error}");
        assert!(error.message.contains(part), "{source}: {error}");
    }
    let known = Expression::compile_for("body == 1", TCP).unwrap_err();
    assert!(known.message.contains("`latency_ms`, `vars`"), "{known}");
}

#[test]
fn variables_are_listed_once_and_macro_names_are_not() {
    let expression = Expression::compile("body.all(x, x == status) && status == 200").unwrap();
    assert_eq!(expression.variables(), ["body", "status"]);
}

#[test]
fn a_body_is_parsed_once_and_only_when_asked_for() {
    let fixture = answer(200, r#"{"a":1}"#);
    fixture.ask(|scope| {
        assert!(scope.holds(&Expression::compile("status == 200").unwrap()).is_ok());
        assert!(!scope.has_parsed_body());
        assert!(scope.holds(&Expression::compile("body.a == 1").unwrap()).is_ok());
        assert!(scope.has_parsed_body());
    });
}

#[test]
fn hostile_bodies_do_not_run_away() {
    let wide = answer(200, &format!("{{\"l\":[{}]}}", vec!["1"; 40_000].join(",")));
    let huge = answer(
        200,
        &format!("{{\"l\":[{}],\"s\":\"{}\"}}", vec!["\"ab\""; 40_000].join(","), "a".repeat(300_000)),
    );
    let deep = answer(200, &"[".repeat(100_000));
    for (fixture, source) in [
        (&wide, "body.l.all(x, body.l.all(y, x == y))"),
        (&wide, "body.l.map(x, body.l.map(y, x + y)).size() > 0 || true"),
        (&wide, "body.l.exists(x, body.l.exists(y, x + y == 77)) || status == 200"),
        (&wide, "body.l.filter(x, body.l.filter(y, x == y).size() == 0).size() == 0"),
        (&huge, "body.l.all(x, !body.s.contains(x + 'c'))"),
        (&huge, "body.l.map(x, x + body.s).size() > 0"),
        (&huge, "body.l.all(x, !body.s.matches(x + '*c'))"),
        (&deep, "body.a == 1"),
    ] {
        let started = std::time::Instant::now();
        let why = fixture.why(source);
        assert!(why.contains("too much work") || why.contains("not JSON"), "{source}: {why}");
        assert!(started.elapsed() < Duration::from_secs(10), "{source} took {:?}", started.elapsed());
    }
    let usual = answer(200, &format!("{{\"l\":[{}]}}", vec!["{\"s\":\"UP\"}"; 2_000].join(",")));
    assert!(usual.holds("body.l.all(x, x.s == 'UP') && body.l.all(x, x.s.startsWith('U'))"));
}

#[test]
fn no_text_panics() {
    let mut random = fastrand::Rng::with_seed(7);
    let fixture = answer(200, r#"{"a":[1,{"b":"c"}]}"#);
    for round in 0..4_000 {
        let mut text: Vec<u8> = CONTRACT[round % CONTRACT.len()].bytes().collect();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..text.len());
            text[at] = *random.choice(b"()[]{}&|!=<>.,'\"\\ab1@_-+*/?: \xc3\xa9".as_slice()).unwrap();
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        if let Ok(expression) = Expression::compile(&text) {
            let _ = fixture
                .ask(|scope| (scope.holds(&expression), scope.text(&expression), scope.time(&expression)));
        }
    }
}

#[test]
fn cleaning_leaves_no_control_and_no_bidi() {
    assert_eq!(clean("a\u{1b}[2J\u{202e}b\nc\u{0}\u{2066}\u{9b}", 60), "a·[2J·b c···");
    assert_eq!(clean("abcdef", 3), "abc…");
    assert_eq!(clean("abc", 3), "abc");
}

/// Prints what compiling and evaluating cost; run with `--ignored --nocapture`, best in a release build.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "a measurement prints")]
fn costs() {
    let started = std::time::Instant::now();
    let compiled: Vec<_> =
        CONTRACT.iter().cycle().take(30).map(|source| Expression::compile(source).unwrap()).collect();
    eprintln!("30 compiled in {:?}", started.elapsed());
    let fixture = answer(200, r#"{"status":"ACTIVE","healthCheck":{"result":"PASS"},"id":"x"}"#);
    let started = std::time::Instant::now();
    for _ in 0..1000 {
        fixture.ask(|scope| compiled[..4].iter().for_each(|expression| drop(scope.holds(expression))));
    }
    eprintln!("a probe of four expectations: {:?}", started.elapsed() / 1000);
}
