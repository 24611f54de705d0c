//! One session, shared by all probes: when it logs in, and when it does not.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use warroom::{
    domain::{ProbeReport, Verdict},
    platform::{Session, Standing},
    probe::{Budget, Journey, Order, journey::Gate},
};

use crate::{
    cloud::{Cloud, Mood, Secrets, TOKEN, begin, clock, failing, pass_time, until, with_components},
    server::{Act, Server, answer},
};

async fn judge(journey: &Journey) -> ProbeReport {
    journey.judge(Order::default(), &Gate::default(), Budget::new(None).purse()).await.report.unwrap()
}

async fn judge_all(journeys: &[Arc<Journey>]) -> Vec<ProbeReport> {
    join_all(journeys.iter().map(|journey| judge(journey))).await
}

/// A platform with two components, the second of which is behind a door that refuses every token.
fn with_a_picky_one() -> (Cloud, Secrets, Arc<Session>, Vec<Arc<Journey>>) {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let platform = cloud.platform("cloud", &secrets, "");
    let components =
        crate::cloud::component("c1", "cloud", "/c1") + &crate::cloud::component("p", "cloud", "/picky");
    let config = crate::cloud::read(&platform, &components);
    let (session, journeys) = begin(&config, &clock());
    (cloud, secrets, session, journeys)
}

/// A login for each probe would use up the platform's budget for tokens.
#[tokio::test]
async fn fifty_probes_share_one_login() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    cloud.set(Mood::Grants { life: 3600, after: Duration::from_millis(1_500) });
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 50);
    let (session, journeys) = begin(&config, &clock());
    for report in judge_all(&journeys).await {
        assert_eq!(report.verdict, Verdict::Up, "{report:?}");
        assert!(
            report.span.length() < Duration::from_millis(1_400),
            "the login is no part of it: {report:?}"
        );
    }
    assert_eq!((cloud.logins(), session.standing()), (1, Standing::Ok));
    let login = &cloud.server.asked()[0];
    assert_eq!(login.body, "grant_type=client_credentials");
    // base64 of `S3CR3T-id:S3CR3T-secret`
    assert!(login.head.contains("Basic UzNDUjNULWlkOlMzQ1IzVC1zZWNyZXQ="), "{}", login.head);
    assert_eq!(cloud.asked().len(), 50);
    assert!(cloud.asked().iter().all(|asked| asked.head.contains(&format!("Bearer {TOKEN}-1"))));
}

/// A token that ends between two probes would cost one of them its sight.
#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_no_probe_waits_for_it() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (session, journeys) = begin(&config, &clock());
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    pass_time(Duration::from_mins(42)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(cloud.logins(), 1, "not yet");
    pass_time(Duration::from_mins(10)).await;
    until("the second login", || cloud.logins() == 2).await;
    until("the second token", || session.pass().is_ok_and(|pass| format!("{pass:?}").contains('2'))).await;
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    let last = cloud.asked().pop().unwrap();
    assert!(last.head.contains(&format!("Bearer {TOKEN}-2")), "{}", last.head);
    assert_eq!(session.standing(), Standing::Ok);
}

/// A token endpoint that is away for a while must not be noticed as long as the token is good, and must be when it is not.
#[tokio::test]
async fn a_failing_renewal_shows_only_when_the_token_has_ended() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (session, journeys) = begin(&config, &clock());
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    cloud.set(Mood::Says(answer("500 Internal Server Error", "", "")));
    pass_time(Duration::from_mins(54)).await;
    until("renewals that fail", || cloud.logins() > 1).await;
    assert_eq!(session.standing(), Standing::Ok);
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    pass_time(Duration::from_secs(361)).await;
    let reason = failing(&session).await;
    assert!(reason.contains("500 Internal Server Error"), "{reason}");
    let asked = cloud.asked().len();
    let report = judge(&journeys[0]).await;
    assert_eq!(report.verdict, Verdict::Blind, "{report:?}");
    assert!(report.reason.as_ref().unwrap().starts_with("ready: login failing: http://127"), "{report:?}");
    assert_eq!(cloud.asked().len(), asked, "nothing is sent without a token");
    cloud.set(Mood::grants());
    pass_time(Duration::from_secs(61)).await;
    until("the login is back", || session.standing() == Standing::Ok).await;
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
}

/// A revoked token must cost one login, not one for each probe, and no probe its verdict or its latency.
#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 50);
    let (session, journeys) = begin(&config, &clock());
    judge_all(&journeys).await;
    cloud.revoke();
    cloud.set(Mood::Grants { life: 3600, after: Duration::from_millis(800) });
    for report in judge_all(&journeys).await {
        assert_eq!(report.verdict, Verdict::Up, "{report:?}");
        assert!(report.latency.unwrap() < Duration::from_millis(750), "{report:?}");
        assert!(report.steps[0].span.unwrap().length() < Duration::from_millis(750), "{report:?}");
    }
    assert_eq!((cloud.logins(), session.standing()), (2, Standing::Ok));
}

/// Tokens that are revoked one soon after the other are renewed each time, as long as they were renewed in between.
#[tokio::test]
async fn a_token_revoked_soon_after_a_renewal_is_renewed_again() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    cloud.set(Mood::Grants { life: 20, after: Duration::ZERO });
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (_session, journeys) = begin(&config, &clock());
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    cloud.revoke();
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    pass_time(Duration::from_secs(18)).await;
    until("the renewal", || cloud.logins() == 3).await;
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    cloud.revoke();
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    assert_eq!(cloud.logins(), 4);
}

/// A service whose own door is shut to credentials that are good everywhere else is in trouble itself; and it must not have
/// the platform log in for ever.
#[tokio::test]
async fn a_path_that_refuses_every_token_is_bad_alone() {
    let (cloud, _secrets, session, journeys) = with_a_picky_one();
    for turn in 0..20 {
        assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
        let report = judge(&journeys[1]).await;
        // At first nobody else has used the new token yet, which would tell whose trouble it is.
        let said = if turn == 0 { Verdict::Blind } else { Verdict::Down };
        assert_eq!(report.verdict, said, "{report:?}");
        assert!(report.reason.unwrap().contains("401"));
    }
    assert_eq!((cloud.logins(), session.standing()), (2, Standing::Ok));
}

/// A healthy component that is seldom probed must not go blind because another one's path refuses every token.
#[tokio::test]
async fn a_path_that_refuses_every_token_condemns_no_login_that_others_had_used() {
    let (_cloud, _secrets, session, journeys) = with_a_picky_one();
    for minute in 0..4 {
        assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up, "minute {minute}");
        for _ in 0..6 {
            let report = judge(&journeys[1]).await;
            assert_ne!(report.verdict, Verdict::Up, "{report:?}");
            assert_eq!(session.standing(), Standing::Ok, "minute {minute}");
            pass_time(Duration::from_secs(10)).await;
        }
    }
}

/// The other components go on with a good token while the one that a refusal asked for cannot be had.
#[tokio::test]
async fn a_forced_login_that_fails_takes_no_good_token_away() {
    let (cloud, _secrets, session, journeys) = with_a_picky_one();
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    cloud.set(Mood::Hangs);
    let refused = judge(&journeys[1]);
    let others = async {
        until("a login that hangs", || cloud.logins() == 2).await;
        assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up, "the token is good for others");
        pass_time(Duration::from_secs(11)).await;
    };
    let (report, ()) = tokio::join!(refused, others);
    assert_ne!(report.verdict, Verdict::Up);
    assert_eq!((judge(&journeys[0]).await.verdict, session.standing()), (Verdict::Up, Standing::Ok));
}

/// Credentials that were rotated a moment too early must not blind a platform whose token is good for hours.
#[tokio::test]
async fn a_renewal_that_is_refused_keeps_the_good_token_to_its_end() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (session, journeys) = begin(&config, &clock());
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    cloud.set(Mood::refuses());
    pass_time(Duration::from_secs(3600 * 86 / 100)).await;
    for attempt in 2..5 {
        until("a refused renewal", || cloud.logins() >= attempt).await;
        assert_eq!((judge(&journeys[0]).await.verdict, session.standing()), (Verdict::Up, Standing::Ok));
        pass_time(Duration::from_secs(67)).await;
    }
    pass_time(Duration::from_secs(500)).await;
    let reason = failing(&session).await;
    assert!(reason.contains("invalid_client"), "{reason}");
}

/// A platform that grants tokens and refuses them all is a failing login, which must not be tried again and again.
#[tokio::test]
async fn a_fresh_token_that_is_refused_is_a_failing_login_and_no_loop() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 10);
    let (session, journeys) = begin(&config, &clock());
    judge_all(&journeys).await;
    cloud.will.good_from.store(u32::MAX, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..5 {
        let reports = judge_all(&journeys).await;
        assert!(reports.iter().all(|report| report.verdict == Verdict::Blind), "{reports:?}");
    }
    let reason = failing(&session).await;
    assert!(reason.contains("refuses the token that its login has just granted"), "{reason}");
    assert_eq!(cloud.logins(), 2);
    let asked = cloud.asked().len();
    judge_all(&journeys).await;
    assert_eq!(cloud.asked().len(), asked, "nothing is sent while there is no token");
    // The next one is on trial: as long as nobody let it in, nothing else is told.
    pass_time(Duration::from_secs(67)).await;
    until("another login", || cloud.logins() == 3).await;
    until("a pass", || session.pass().is_ok()).await;
    assert!(matches!(session.standing(), Standing::Failing(_)));
    cloud.will.good_from.store(1, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    until("the login is good", || session.standing() == Standing::Ok).await;
}

/// A token file that was rotated must be read again, without a restart.
#[tokio::test]
async fn a_rotated_bearer_is_read_again_when_it_is_refused() {
    let secrets = Secrets::new();
    secrets.put("bearer", "T0K3N-old");
    let server = Server::start(|asked| {
        let status = if asked.head.contains("Bearer T0K3N-new") { "200 OK" } else { "401 Unauthorized" };
        Act::Send(answer(status, "", "{}"))
    });
    let platform = format!(
        "[platforms.cloud]\nkind = \"http\"\nbase_url = \"http://{}\"\nbearer = {{ file = \"{}\" }}\n",
        server.address,
        secrets.file("bearer")
    );
    let config = with_components(&platform, 1);
    let (session, journeys) = begin(&config, &clock());
    session.ready(Duration::from_secs(5)).await.unwrap();
    secrets.put("bearer", "T0K3N-new");
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up);
    secrets.put("bearer", "T0K3N-wrong");
    pass_time(Duration::from_secs(61)).await;
    assert_eq!(judge(&journeys[0]).await.verdict, Verdict::Up, "it is good still");
    drop(session);
}

/// A hung login must hold no probe for longer than its step's own patience.
#[tokio::test]
async fn a_login_that_hangs_after_a_401_leaves_the_probe_blind_in_time() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (_session, journeys) = begin(&config, &clock());
    judge_all(&journeys).await;
    cloud.revoke();
    cloud.set(Mood::Hangs);
    let begun = std::time::Instant::now();
    let report = judge(&journeys[0]).await;
    assert_eq!(report.verdict, Verdict::Blind, "{report:?}");
    assert!(report.reason.as_ref().unwrap().contains("no new one came within 1s"), "{report:?}");
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_session_tells_what_its_token_may_do() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, "organization_id = \"0rg-1\""), 1);
    let (session, _) = begin(&config, &clock());
    let told = session.describe(Duration::from_secs(5)).await.unwrap();
    assert_eq!(told.organization_id.as_deref(), Some("0rg-1"));
    assert_eq!((told.organization.as_deref(), told.client.as_deref()), (Some("Acme"), Some("warroom")));
    assert_eq!(told.scopes, ["architect:readonly"]);
    assert!(told.permissions.unwrap().unwrap().contains("architect:flow:view"));
    assert!(told.ends_in.unwrap() > Duration::from_secs(3500));
}

/// A permission that the login lacks says nothing of the component; any other 403 is the component's answer.
#[tokio::test]
async fn a_missing_permission_is_blind_and_another_403_is_believed() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (_session, journeys) = begin(&config, &clock());
    cloud.answers(
        "403 Forbidden",
        r#"{"code":"missing.any.permissions","message":"You need architect:flow:view"}"#,
    );
    let report = judge(&journeys[0]).await;
    assert_eq!(report.verdict, Verdict::Blind, "{report:?}");
    assert!(report.reason.as_ref().unwrap().contains("You need architect:flow:view"), "{report:?}");
    cloud.answers("403 Forbidden", "<html>");
    let report = judge(&journeys[0]).await;
    assert_eq!(report.verdict, Verdict::Down, "{report:?}");
    assert_eq!(cloud.logins(), 1);
}
