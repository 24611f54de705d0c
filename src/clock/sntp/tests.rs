use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::clock::RuntimeClock;

/// What a server answers to a request.
type Answer = fn(&[u8; LENGTH]) -> Vec<[u8; LENGTH]>;

/// A server on this machine that answers as it is told; the number of questions that it got is the last's port.
async fn server(answer: Answer) -> (TimeServer, Arc<std::sync::atomic::AtomicU32>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let SocketAddr::V4(address) = socket.local_addr().unwrap() else { unreachable!("it was bound so") };
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut request = [0; LENGTH];
        while let Ok((_, from)) = socket.recv_from(&mut request).await {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            for packet in answer(&request) {
                socket.send_to(&packet, from).await.unwrap();
            }
        }
    });
    (TimeServer { host: Arc::from("127.0.0.1"), port: address.port() }, asked)
}

/// A good answer at 2026-05-15T14:32:00Z: stratum 2, root delay 20 ms, root dispersion 5 ms.
fn good(request: &[u8; LENGTH]) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    packet[0] = 4 << 3 | 4;
    packet[1] = 2;
    packet[4..8].copy_from_slice(&((20_u32 << 16) / 1_000).to_be_bytes());
    packet[8..12].copy_from_slice(&((5_u32 << 16) / 1_000).to_be_bytes());
    packet[24..32].copy_from_slice(&request[40..]);
    let seconds = u32::try_from(1_778_855_520 + UNIX_EPOCH).unwrap();
    for at in [32, 40] {
        packet[at..at + 4].copy_from_slice(&seconds.to_be_bytes());
        packet[at + 4..at + 8].copy_from_slice(&0x8000_0000_u32.to_be_bytes());
    }
    packet
}

fn changed(request: &[u8; LENGTH], change: impl Fn(&mut [u8; LENGTH])) -> Vec<[u8; LENGTH]> {
    let mut packet = good(request);
    change(&mut packet);
    vec![packet]
}

fn client(address: &TimeServer) -> (Server, SharedClock) {
    let wall = DateTime::from_timestamp(1_778_855_530, 0).unwrap();
    let clock: SharedClock = Arc::new(RuntimeClock::starting_at(wall));
    (Server::new(address.clone(), Arc::clone(&clock), 5), clock)
}

#[tokio::test]
async fn an_answer_gives_the_offset_within_delay_and_root_distance() {
    let (address, _) = server(|request| vec![good(request)]).await;
    let (mut server, clock) = client(&address);
    let sample = server.ask().await.unwrap();
    assert_eq!(sample.stratum, 2);
    let offset = sample.lead.on_the_wall(clock.now());
    // The server says 14:32:00.5, the runner 14:32:10 and the little that the test has taken.
    let off = Duration::from_nanos(offset.middle().unsigned_abs());
    assert!(off >= Duration::from_millis(9_500) && off < Duration::from_millis(10_500), "{off:?}");
    assert!(offset.error() >= Duration::from_millis(14), "root delay / 2 + dispersion: {:?}", offset.error());
    assert_eq!(&*server.name(), &format!("ntp 127.0.0.1:{}", address.port));
}

/// After 2036 the seconds of NTP begin anew.
#[test]
fn the_era_is_the_one_that_is_nearest() {
    let about = DateTime::parse_from_rfc3339("2040-01-01T00:00:00Z").unwrap().to_utc();
    let mut packet = [0; LENGTH];
    let seconds = u32::try_from(about.timestamp() + UNIX_EPOCH - ERA).unwrap();
    packet[32..36].copy_from_slice(&seconds.to_be_bytes());
    let (sent, received) = (Moment::default(), Moment::default());
    let exchange = Exchange { packet, sent, received, is_here: false, about };
    assert_eq!(exchange.time(32), Some(about));
    assert_eq!(exchange.time(40), None);
}

#[tokio::test]
async fn answers_that_cannot_be_believed_are_refused() {
    let cases: [(Answer, SntpError); 9] = [
        // As ntpd answers until it has found its time: neither asks not to be asked.
        (
            |request| {
                changed(request, |packet| {
                    (packet[0], packet[1]) = (3 << 6 | 4 << 3 | 4, 0);
                    packet[12..16].copy_from_slice(b"INIT");
                })
            },
            SntpError::Unsynchronised,
        ),
        (
            |request| {
                changed(request, |packet| {
                    packet[1] = 0;
                    packet[12..16].copy_from_slice(b"STEP");
                })
            },
            SntpError::Unsynchronised,
        ),
        // As chrony answers while it follows nothing.
        (
            |request| changed(request, |packet| (packet[0], packet[1]) = (3 << 6 | 4 << 3 | 4, 0)),
            SntpError::Unsynchronised,
        ),
        (|request| changed(request, |packet| packet[1] = 16), SntpError::Unsynchronised),
        (|request| changed(request, |packet| packet[0] |= 3 << 6), SntpError::Unsynchronised),
        (|request| changed(request, |packet| packet[40..].fill(0)), SntpError::Nonsense("it gives no time")),
        (
            |request| changed(request, |packet| packet[43] -= 1),
            SntpError::Nonsense("it answered before it was asked"),
        ),
        (
            |request| changed(request, |packet| packet[43] += 9),
            SntpError::Nonsense("it took longer than its answer was on its way"),
        ),
        (
            |request| {
                changed(request, |packet| {
                    packet[1] = 0;
                    packet[12..16].copy_from_slice(b"DENY");
                })
            },
            SntpError::Kiss("DENY".to_owned()),
        ),
    ];
    for (answer, why) in cases {
        let (address, asked) = server(answer).await;
        let (mut server, _) = client(&address);
        assert_eq!(server.ask().await, Err(why.clone()));
        assert_eq!(server.ask().await, Err(why.clone()));
        let is_left_alone = asked.load(std::sync::atomic::Ordering::SeqCst) == 1;
        assert_eq!(is_left_alone, matches!(why, SntpError::Kiss(_)), "{why}");
    }
}

/// Somebody who cannot see the question must not be able to answer it.
#[tokio::test]
async fn a_forged_answer_is_passed_over_and_the_true_one_is_taken() {
    let (address, _) = server(|request| {
        let mut forged = good(request);
        forged[24] ^= 1;
        let mut kiss = forged;
        kiss[1] = 0;
        let mut client_mode = good(request);
        client_mode[0] = 4 << 3 | 3;
        vec![forged, kiss, client_mode, good(request)]
    })
    .await;
    assert_eq!(client(&address).0.ask().await.unwrap().stratum, 2);
}

#[tokio::test]
async fn a_server_that_sends_a_kiss_is_left_alone_and_asked_again_later() {
    let (address, asked) = server(|request| {
        changed(request, |packet| {
            packet[1] = 0;
            packet[12..16].copy_from_slice(b"RATE");
        })
    })
    .await;
    let (mut server, _) = client(&address);
    for _ in 0..4 {
        assert_eq!(server.ask().await, Err(SntpError::Kiss("RATE".to_owned())));
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1, "it was asked again at once");
    tokio::time::pause();
    tokio::time::advance(SLOWER + Duration::from_millis(1)).await;
    tokio::time::resume();
    assert!(server.ask().await.is_err());
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2);
    tokio::time::pause();
    tokio::time::advance(SLOWER + Duration::from_millis(1)).await;
    tokio::time::resume();
    assert!(server.ask().await.is_err());
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2, "the second wait is longer");
}

#[tokio::test(start_paused = true)]
async fn silence_is_an_error_after_two_seconds() {
    let (address, _) = server(|_| Vec::new()).await;
    let begun = Instant::now();
    assert_eq!(client(&address).0.ask().await, Err(SntpError::Silent));
    assert_eq!(begun.elapsed(), PATIENCE);
}
