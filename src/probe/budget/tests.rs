#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderName, RETRY_AFTER},
};

use super::*;
use crate::domain::Tier;

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn budget(requests: u32, per: u64) -> Arc<Budget> {
    Budget::new(Some(Rate { requests: requests.try_into().unwrap(), per: seconds(per) }))
}

fn applicant(place: usize, requests: u32) -> Applicant {
    let (interval, last) = (seconds(5), Instant::now());
    let (troubled, tier, family) = (false, Tier::One, None);
    Applicant { place, troubled, tier, interval, cadence: interval, last, requests, family }
}

fn granted(application: Application) -> Purse {
    match application {
        Application::Granted(purse) => purse,
        Application::Waits(_) => panic!("it waits"),
    }
}

fn waits(application: Application) -> oneshot::Receiver<Purse> {
    match application {
        Application::Granted(_) => panic!("it is granted"),
        Application::Waits(granted) => granted,
    }
}

async fn ask(purse: &Purse, status: StatusCode, headers: &[(&'static str, u64)], home: bool) {
    let mut slot = purse.admit(Errand::Step).await.unwrap();
    slot.send();
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), (*value).into())).collect();
    slot.answered(status, &headers, home);
}

fn told(remaining: u64, reset: u64) -> [(&'static str, u64); 3] {
    [("ratelimit-limit", 300), ("ratelimit-remaining", remaining), ("ratelimit-reset", reset)]
}

fn serve(budget: &Arc<Budget>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(Clerk::new(Arc::clone(budget)).run(|_| std::future::ready(true)))
}

/// A budget that the platform has throttled for a second which is over.
async fn throttled() -> Arc<Budget> {
    let budget = Budget::new(None);
    let purse = granted(budget.apply(applicant(0, 1)));
    ask(&purse, StatusCode::TOO_MANY_REQUESTS, &[(RETRY_AFTER.as_str(), 1)], true).await;
    drop(purse);
    assert!(budget.is_throttled());
    tokio::time::advance(seconds(3)).await;
    budget
}

/// A few left at the end of a window must not blind us for the next one.
#[tokio::test(start_paused = true)]
async fn a_start_waits_no_longer_than_for_the_reset() {
    let budget = Budget::new(None);
    let (start, clerk) = (Instant::now(), serve(&budget));
    ask(&budget.purse(), StatusCode::OK, &told(5, 40), true).await;
    let purse = granted(budget.apply(applicant(0, 4)));
    let next = waits(budget.apply(applicant(1, 1)));
    for _ in 0..4 {
        ask(&purse, StatusCode::OK, &[], true).await;
    }
    let _purse = next.await.unwrap();
    assert_eq!(start.elapsed(), seconds(40));
    clerk.abort();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_tells_of_plenty_lets_the_next_start_go() {
    let budget = Budget::new(None);
    let (start, clerk) = (Instant::now(), serve(&budget));
    ask(&budget.purse(), StatusCode::OK, &told(5, 40), true).await;
    let purse = granted(budget.apply(applicant(0, 4)));
    let next = waits(budget.apply(applicant(1, 4)));
    tokio::time::sleep(seconds(7)).await;
    ask(&purse, StatusCode::OK, &told(299, 60), true).await;
    let _purse = next.await.unwrap();
    assert_eq!(start.elapsed(), seconds(7));
    clerk.abort();
}

/// A component whose first step is a TCP port that is closed would keep a throttle for ever.
#[tokio::test(start_paused = true)]
async fn who_fails_before_the_first_request_has_tried_for_all() {
    let budget = throttled().await;
    let purse = granted(budget.apply(applicant(0, 1)));
    drop(purse);
    assert!(budget.is_throttled(), "it did nothing");
    let purse = granted(budget.apply(applicant(0, 1)));
    purse.foil();
    drop(purse);
    assert!(!budget.is_throttled());
}

#[tokio::test(start_paused = true)]
async fn another_hosts_answers_neither_begin_nor_end_a_throttle() {
    let fresh = Budget::new(None);
    let purse = fresh.purse();
    ask(&purse, StatusCode::TOO_MANY_REQUESTS, &[(RETRY_AFTER.as_str(), 60)], false).await;
    assert!(!fresh.is_throttled());

    let budget = throttled().await;
    let purse = granted(budget.apply(applicant(0, 2)));
    ask(&purse, StatusCode::OK, &[], false).await;
    assert!(budget.is_throttled());
    drop(purse);
    assert!(budget.is_throttled(), "the platform was not asked");
    let purse = granted(budget.apply(applicant(0, 2)));
    ask(&purse, StatusCode::OK, &[], false).await;
    ask(&purse, StatusCode::OK, &[], true).await;
    assert!(!budget.is_throttled(), "its own answer ends it");
}

/// While all places belong to requests that are not sent yet nobody knows when there is room.
#[tokio::test(start_paused = true)]
async fn who_waits_for_an_unsent_request_hears_when_it_is_sent() {
    let budget = budget(1, 10);
    let (first, second) = (budget.purse(), budget.purse());
    let start = Instant::now();
    let mut slot = first.admit(Errand::Step).await.unwrap();
    let send = async {
        tokio::time::sleep(seconds(1)).await;
        slot.send();
    };
    let (admitted, ()) = tokio::join!(second.admit(Errand::Step), send);
    assert!(admitted.is_ok());
    assert_eq!(start.elapsed(), seconds(11));
}

/// A question for the time must delay neither the round that asks it nor a probe.
#[tokio::test(start_paused = true)]
async fn a_question_of_our_own_waits_shortly_and_holds_nobody_back() {
    let budget = budget(1, 60);
    ask(&budget.purse(), StatusCode::OK, &[], true).await;
    let (start, purse) = (Instant::now(), budget.purse());
    let look = async {
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(budget.lock().pressing, 0);
    };
    let (admitted, ()) = tokio::join!(purse.admit(Errand::Aside), look);
    assert_eq!(admitted.unwrap_err(), Refusal::Full);
    assert_eq!(start.elapsed(), ASIDE_PATIENCE);
}
