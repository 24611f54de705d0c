//! One schedule goes on in place of another, on virtual time: nobody is asked more often for it, and nobody less.

use std::num::NonZeroU32;

use super::*;
use crate::{config::model::Rate, probe::schedule::heritage::Seat};

/// A config's components on one platform, probed each so often.
fn components(ids: std::ops::Range<usize>, cadence: &str, rate: &str) -> Vec<Arc<Component>> {
    let mut text = format!(
        "tenant = \"t\"\nenvironment = \"sandbox\"\n[measurement]\ntimeout = \"1s\"\n[platforms.p0]\nkind = \"http\"\n\
         base_url = \"http://127.0.0.1:1\"\n{rate}\n"
    );
    for id in ids {
        text += &format!(
            "[[components]]\nid = \"c{id}\"\nplatform = \"p0\"\ntier = 1\ntarget_rto = \"60s\"\ncadence = \"{cadence}\"\n\
             burst = \"500ms\"\njourney = [{{ name = \"page\", get = \"/\" }}]\n"
        );
    }
    crate::config::parse(&text, "the test's config").unwrap().config.components
}

/// The same on a platform that has another name.
fn named(name: &str, mut components: Vec<Arc<Component>>) -> Vec<Arc<Component>> {
    for component in &mut components {
        let platform = Platform { id: PlatformId::new(name), ..(*component.platform).clone() };
        *component = Arc::new(Component { platform: Arc::new(platform), ..(**component).clone() });
    }
    components
}

/// A schedule of scripted probers that goes on as the real one does.
struct Bench {
    clock: RuntimeClock,
    probers: HashMap<ComponentId, Arc<Scripted>>,
    handle: Option<ScheduleHandle>,
    outputs: mpsc::Receiver<ProbeOutput>,
    script: Arc<Script>,
    /// Those that were gone on from.
    ended: Vec<ScheduleHandle>,
}

impl Bench {
    fn new(script: impl Fn(usize, Order, &Gate) -> (Duration, Judged) + Send + Sync + 'static) -> Self {
        let (_, outputs) = mpsc::channel(1);
        let clock = clock();
        Self {
            clock,
            probers: HashMap::new(),
            handle: None,
            outputs,
            script: Arc::new(script),
            ended: Vec::new(),
        }
    }

    /// Goes on with these components, on one platform.
    fn go_on(&mut self, components: &[Arc<Component>]) {
        let (out, outputs) = mpsc::channel(100_000);
        let platform = &components[0].platform;
        let known = self.handle.as_ref().and_then(|handle| {
            let renamed = handle.renamed(components);
            handle.budgets.get(renamed.get(&platform.id).unwrap_or(&platform.id))
        });
        let budget = known.map_or_else(|| Budget::new(platform.rate_limit), Arc::clone);
        let members: Vec<Option<Member>> = components
            .iter()
            .map(|component| {
                let script = Arc::clone(&self.script);
                let prober = self.probers.entry(component.id.clone()).or_insert_with(|| {
                    Scripted::new(self.clock, move |number, order, gate| script(number, order, gate))
                });
                Some(Member {
                    platform: 0,
                    tier: Tier::One,
                    requests: 1,
                    clean_ups: 0,
                    cadence: component.cadence,
                    patience: PATIENCE,
                    listing: None,
                    shared: None,
                    prober: Arc::clone(prober) as Arc<dyn Prober>,
                })
            })
            .collect();
        let heritage = self.handle.as_ref().map_or_else(Heritage::default, |before| {
            before.hand_over();
            before.leave(components, &[&**platform], &members)
        });
        let clock: SharedClock = Arc::new(self.clock);
        let witness = Arc::new(Witness::of(&[], &[]));
        let budgets = vec![(platform.id.clone(), Arc::clone(&budget))];
        let mut handle =
            start_after(&heritage, members, budgets, &Canary::new(&[]), &witness, &clock, 42, out);
        handle.probed = components.iter().map(|component| (Arc::clone(component), None)).collect();
        handle.places = components.iter().zip(0..).map(|(one, place)| (one.id.clone(), place)).collect();
        handle.budgets.insert(platform.id.clone(), budget);
        self.outputs = outputs;
        self.ended.extend(self.handle.replace(handle));
    }

    fn handle(&self) -> &ScheduleHandle {
        self.handle.as_ref().unwrap()
    }

    fn starts(&self, id: usize) -> Vec<Duration> {
        self.probers[&ComponentId::new(format!("c{id}"))].starts()
    }

    fn all_starts(&self) -> Vec<Duration> {
        let mut all: Vec<Duration> = self.probers.values().flat_map(|prober| prober.starts()).collect();
        all.sort_unstable();
        all
    }

    async fn end(mut self) {
        for handle in self.ended.drain(..).chain(self.handle.take()) {
            handle.stop().await;
        }
    }
}

/// A platform that bans who asks too often must not be asked too often because somebody edits a file.
#[tokio::test(start_paused = true)]
async fn no_reload_breaks_the_ceiling() {
    let mut bench = Bench::new(|_, _, _| (millis(30), found(Verdict::Up)));
    let rate = "rate_limit = \"60/min\"";
    for round in 0..60 {
        // Components come and go, and twenty of them ask for two hundred and forty a minute.
        bench.go_on(&components(round % 7..20 + round % 5, "5s", rate));
        tokio::time::sleep(millis(7_300)).await;
    }
    let starts = bench.all_starts();
    let minute = Duration::from_mins(1);
    assert!(starts.windows(61).all(|window| window[60] - window[0] >= minute), "more than 60 in a minute");
    assert!(starts.len() > 60 * 6, "and most of it is used: {}", starts.len());
    bench.end().await;
}

/// A ceiling that is lowered holds for what was sent before, too.
#[tokio::test(start_paused = true)]
async fn a_lowered_ceiling_counts_what_was_sent() {
    let mut bench = Bench::new(|_, _, _| (millis(30), found(Verdict::Up)));
    bench.go_on(&components(0..20, "5s", "rate_limit = \"240/min\""));
    tokio::time::sleep(Duration::from_secs(50)).await;
    let before = bench.all_starts().len();
    assert!(before > 150, "{before}");
    bench.go_on(&components(0..20, "5s", "rate_limit = \"60/min\""));
    let lowered = Duration::from_secs(50);
    tokio::time::sleep(Duration::from_mins(4)).await;
    let starts = bench.all_starts();
    let after: Vec<Duration> = starts.iter().copied().filter(|start| *start > lowered).collect();
    let first =
        starts.iter().filter(|start| **start + Duration::from_mins(1) > after[0] && **start < after[0]);
    assert!(first.count() < 60, "the first one after it found no room");
    assert!(after.windows(61).all(|window| window[60] - window[0] >= Duration::from_mins(1)));
    assert!(after.len() > 100, "{}", after.len());
    bench.end().await;
}

/// Guarantee 5: who asked us to wait is waited for, whatever is edited meanwhile; and it is told again, whoever listens.
#[tokio::test(start_paused = true)]
async fn a_throttle_outlives_a_reload() {
    let runs = AtomicUsize::new(0);
    let mut bench = Bench::new(move |_, _, _| {
        let first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        (millis(10), if first { throttled(Some(60)) } else { found(Verdict::Up) })
    });
    bench.go_on(&components(0..10, "5s", ""));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sent = bench.all_starts().len();
    for _ in 0..5 {
        bench.go_on(&components(0..10, "5s", ""));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let told = std::iter::from_fn(|| bench.outputs.try_recv().ok())
            .any(|output| matches!(output, ProbeOutput::Budget { throttled: true, .. }));
        assert!(told, "a console that follows the new schedule would not know");
    }
    assert_eq!(bench.all_starts().len(), sent, "asked although it said 60 s");
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert!(bench.all_starts().len() > sent + 10, "and asked again afterwards");
    bench.end().await;
}

/// Guarantee 5: another name is no leave to ask; and another platform's wait is nobody else's.
#[tokio::test(start_paused = true)]
async fn a_throttle_outlives_another_name() {
    let runs = AtomicUsize::new(0);
    let mut bench = Bench::new(move |_, _, _| {
        let first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        (millis(10), if first { throttled(Some(60)) } else { found(Verdict::Up) })
    });
    bench.go_on(&components(0..10, "5s", ""));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sent = bench.all_starts().len();
    bench.go_on(&named("other", components(0..10, "5s", "")));
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(bench.all_starts().len(), sent, "asked although it said 60 s");
    let mut elsewhere = components(0..10, "5s", "");
    for component in &mut elsewhere {
        let base_url = "http://127.0.0.2:1".parse().unwrap();
        let platform = Platform { base_url, id: PlatformId::new("p2"), ..(*component.platform).clone() };
        *component = Arc::new(Component { platform: Arc::new(platform), ..(**component).clone() });
    }
    bench.go_on(&elsewhere);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(bench.all_starts().len() >= sent + 10, "it is not that one that throttles");
    bench.end().await;
}

/// With hundreds of components, a reload that probes all of them at once is a herd, and one that makes each wait anew can
/// starve them all.
#[tokio::test(start_paused = true)]
async fn who_stays_is_probed_when_it_would_have_been_anyway() {
    let mut bench = Bench::new(|_, _, _| (millis(20), found(Verdict::Up)));
    let cadence = Duration::from_secs(8);
    bench.go_on(&components(0..40, "8s", ""));
    tokio::time::sleep(Duration::from_secs(20)).await;
    for round in 0..100 {
        bench.go_on(&components(0..40 + round % 3, "8s", ""));
        tokio::time::sleep(millis(1_370)).await;
    }
    for id in 0..40 {
        let starts = bench.starts(id);
        for pair in starts[2..].windows(2) {
            let between = pair[1] - pair[0];
            // One that was cut off is made good within two seconds, and the next one comes in its own time.
            let is_made_good = between <= millis(2_100);
            let spread = Duration::from_secs(2);
            assert!(
                is_made_good || (cadence - spread..cadence + millis(400)).contains(&between),
                "{id}: {between:?} between two probes"
            );
        }
        assert!((19..=26).contains(&starts.len()), "{id}: {} starts in 157 s", starts.len());
    }
    bench.end().await;
}

/// A probe once an hour that was cut off must not be missing for an hour.
#[tokio::test(start_paused = true)]
async fn a_probe_that_was_cut_off_is_made_good() {
    let mut bench = Bench::new(|_, _, _| (Duration::from_secs(5), found(Verdict::Up)));
    bench.go_on(&components(0..1, "9s", ""));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.starts(0).len(), 1);
    bench.go_on(&components(0..1, "9s", ""));
    assert!(reports(&mut bench.outputs).is_empty());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.starts(0).len(), 2);
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    assert_eq!(reports(&mut bench.outputs).len(), 1);
    bench.end().await;
}

/// In an outage every second counts: the burst goes on in its own pace, and what was cut off begins at once.
#[tokio::test(start_paused = true)]
async fn a_burst_goes_on_through_a_reload() {
    for takes in [millis(40), Duration::from_secs(3)] {
        let mut bench = Bench::new(move |_, _, _| (takes, found(Verdict::Down)));
        bench.go_on(&components(0..3, "9s", ""));
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.handle().set_pace(1, BURST);
        tokio::time::sleep(Duration::from_secs(4)).await;
        for _ in 0..20 {
            bench.go_on(&components(1..3, "9s", ""));
            bench.handle().set_pace(0, BURST);
            tokio::time::sleep(millis(777)).await;
        }
        let starts = bench.starts(1);
        let longest = starts[2..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest <= millis(540), "{longest:?} without a probe in an outage of probes of {takes:?}");
        let most = if takes < millis(500) { 44 } else { 66 };
        assert!(starts.len() <= most, "{} starts: a reload is no reason to ask more often", starts.len());
        bench.end().await;
    }
}

/// What was told of a component must not be taken for another one's that has its place now.
#[tokio::test(start_paused = true)]
async fn a_stretched_component_is_named_by_its_new_place() {
    let mut bench = Bench::new(|_, _, _| (millis(10), found(Verdict::Up)));
    bench.go_on(&components(0..12, "2s", "rate_limit = \"60/min\""));
    tokio::time::sleep(Duration::from_mins(4)).await;
    bench.go_on(&components(4..12, "2s", "rate_limit = \"60/min\""));
    tokio::time::sleep(millis(10)).await;
    let stretched = std::iter::from_fn(|| bench.outputs.try_recv().ok()).find_map(|output| match output {
        ProbeOutput::Budget { stretched, .. } => Some(stretched),
        _ => None,
    });
    let stretched = stretched.expect("it is told again");
    assert!(!stretched.is_empty());
    assert!(stretched.iter().all(|one| one.place < 8), "{stretched:?}");
    let seats: Vec<&Seat> = bench.handle().seats.iter().flatten().collect();
    assert_eq!(seats.len(), 8);
    assert_eq!(
        NonZeroU32::new(60),
        bench.handle().probed[0].0.platform.rate_limit.map(|rate: Rate| rate.requests)
    );
    bench.end().await;
}
