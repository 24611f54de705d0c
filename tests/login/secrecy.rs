//! No secret and no token in a log line, at any level, nor in `Debug` output.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing_subscriber::{fmt::MakeWriter, prelude::*};
use warroom::{domain::Verdict, platform::Standing};

use crate::cloud::{
    Cloud, Mood, SECRET, Secrets, TOKEN, begin, clock, failing, pass_time, until, with_components,
};

/// Every log line of this process, of all crates.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Capture {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn logs_and_debug_output_hold_no_secret() {
    let capture = Capture::default();
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(capture.clone());
    // It takes what goes through `log` too.
    tracing_subscriber::registry().with(layer).init();
    log::set_max_level(log::LevelFilter::Trace);

    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, "organization_id = \"0rg-1\""), 1);
    let (session, journeys) = begin(&config, &clock());
    let mut told = Vec::new();
    let report = journeys[0].probe().await;
    assert_eq!(report.verdict, Verdict::Up);
    told.push(format!("{report:?} {session:?} {:?} {config:?} {:?}", session.pass(), journeys[0]));
    told.push(format!("{:?}", session.describe(Duration::from_secs(5)).await));
    // A refusal that echoes what it was sent.
    let echo = format!(r#"{{"error":"{SECRET}-secret","error_description":"{SECRET}-id"}}"#);
    cloud.set(Mood::Says(crate::server::answer("401 Unauthorized", "", &echo)));
    cloud.revoke();
    told.push(format!("{:?}", journeys[0].probe().await));
    told.push(failing(&session).await);
    told.push(format!("{session:?} {:?} {:?}", session.pass(), session.standing()));
    cloud.set(Mood::grants());
    pass_time(Duration::from_secs(67)).await;
    until("it is good again", || session.standing() == Standing::Ok).await;
    told.push(format!("{:?}", journeys[0].probe().await));

    let logged = String::from_utf8_lossy(&capture.0.lock().unwrap()).into_owned();
    for part in ["TRACE hyper_util", "DEBUG reqwest", "the login fails"] {
        assert!(logged.contains(part), "{part}\n{logged}");
    }
    // base64 of what stands in Basic authentication begins so.
    for held in [SECRET, TOKEN, "UzNDUjNU"] {
        for line in logged.lines().chain(told.iter().map(String::as_str)) {
            assert!(!line.contains(held), "{line}");
        }
    }
}
