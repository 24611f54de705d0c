//! Secrets that were replaced, and somebody says so: a new login, while what there is stays in use.

use warroom::{
    domain::Verdict,
    platform::Standing,
    probe::{Budget, Journey, Order, journey::Gate},
};

use crate::cloud::{Cloud, Mood, SECRET, Secrets, TOKEN, begin, clock, failing, until, with_components};

async fn verdict(journey: &Journey) -> Verdict {
    journey.judge(Order::default(), &Gate::default(), Budget::new(None).purse()).await.report.unwrap().verdict
}

/// The token that the last request carried.
fn token(cloud: &Cloud) -> String {
    let head = cloud.asked().pop().unwrap().head;
    let from = head.find(TOKEN).unwrap();
    head[from..].split(char::is_whitespace).next().unwrap().to_owned()
}

/// A reload of thirty platforms must not be thirty logins when one secret was replaced, and that one must be used.
#[tokio::test]
async fn only_a_secret_that_was_replaced_is_logged_in_with() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (session, journeys) = begin(&config, &clock());
    until("the login", || session.standing() == Standing::Ok).await;
    let asleep = std::time::Duration::from_millis(200);
    for _ in 0..3 {
        session.renew();
        tokio::time::sleep(asleep).await;
    }
    assert_eq!(cloud.logins(), 1, "nothing was replaced");

    secrets.put("secret", "another");
    session.renew();
    until("the second login", || cloud.logins() == 2).await;
    // base64 of `S3CR3T-id:another`
    let last = cloud.server.asked().pop().unwrap();
    assert!(last.head.contains("Basic UzNDUjNULWlkOmFub3RoZXI="), "{}", last.head);
    let mut seen = String::new();
    while seen != format!("{TOKEN}-2") {
        assert_eq!(verdict(&journeys[0]).await, Verdict::Up, "nobody is blind meanwhile");
        seen = token(&cloud);
    }
    assert_eq!(session.complaint(), None);
}

/// Whoever replaces a secret by a wrong one must hear of it, and must not lose the sight of the platform by it.
#[tokio::test]
async fn a_wrong_secret_is_complained_of_and_the_old_token_stays() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (session, journeys) = begin(&config, &clock());
    until("the login", || session.standing() == Standing::Ok).await;

    cloud.set(Mood::refuses());
    secrets.put("secret", &format!("{SECRET}-wrong"));
    session.renew();
    until("the complaint", || session.complaint().is_some()).await;
    assert!(!session.complaint().unwrap().contains(SECRET), "{:?}", session.complaint());
    assert_eq!((session.standing(), verdict(&journeys[0]).await), (Standing::Ok, Verdict::Up));
    assert_eq!(token(&cloud), format!("{TOKEN}-1"));

    // One that is not there at all is said too.
    std::fs::remove_file(secrets.path("secret")).unwrap();
    session.renew();
    until("another complaint", || session.complaint().is_some_and(|why| why.contains("cannot be read")))
        .await;
    assert_eq!(verdict(&journeys[0]).await, Verdict::Up);

    // Mended, it is tried at once, and not after the minute that a refusal asks for.
    cloud.set(Mood::grants());
    secrets.put("secret", &format!("{SECRET}-right"));
    session.renew();
    until("no complaint", || session.complaint().is_none()).await;
    assert_eq!(verdict(&journeys[0]).await, Verdict::Up);
    assert_eq!(token(&cloud), format!("{TOKEN}-2"));
}

/// After a mended secret nobody waits for the next minute's attempt.
#[tokio::test]
async fn a_failing_login_is_tried_again_at_once() {
    let (cloud, secrets) = (Cloud::start(), Secrets::new());
    cloud.set(Mood::refuses());
    let config = with_components(&cloud.platform("cloud", &secrets, ""), 1);
    let (session, _) = begin(&config, &clock());
    failing(&session).await;
    cloud.set(Mood::grants());
    secrets.put("secret", "another");
    session.renew();
    until("the login", || session.standing() == Standing::Ok).await;
    assert_eq!(cloud.logins(), 2);
}
