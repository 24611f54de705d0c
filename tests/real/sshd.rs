//! A real `sshd` on loopback with keys of its own, and a wire to it that can go dead without a word.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::process::{Peer, find, free_port};

/// `sshd` of the current user, ended with the test.
pub(crate) struct Sshd {
    ssh: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    _peer: Peer,
}

impl Sshd {
    /// Starts it with its files in `folder` and waits until it greets; `None` when a program is not installed.
    pub(crate) fn start(folder: &Path) -> Option<Self> {
        let sshd = find("sshd", "openssh-server")?;
        let (ssh, keygen) = (find("ssh", "openssh-client")?, find("ssh-keygen", "openssh-client")?);
        for name in ["host_key", "user_key"] {
            let made = Command::new(&keygen)
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(folder.join(name))
                .status()
                .unwrap();
            assert!(made.success(), "ssh-keygen makes no {name}: {made}");
        }
        if rustix::process::getuid().is_root() {
            // Where sshd goes before anybody has logged in; Debian's own start makes it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let settings = folder.join("sshd_config");
        let at = folder.display();
        let text = format!(
            "ListenAddress {address}\nHostKey {at}/host_key\nPidFile {at}/sshd.pid\n\
             AuthorizedKeysFile {at}/user_key.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nPrintLastLog no\n\
             ClientAliveInterval 1\nClientAliveCountMax 2\nLogLevel VERBOSE\n"
        );
        fs::write(&settings, text).unwrap();
        let mut peer =
            Peer::start("sshd", &sshd, folder, &["-D", "-e", "-f", &settings.display().to_string()]);
        peer.until("greeting", || {
            let mut greeting = [0; 4];
            TcpStream::connect(address)
                .is_ok_and(|mut stream| stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-")
        });
        Some(Self { ssh, folder: folder.to_path_buf(), address, _peer: peer })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The client's command line: a terminal over there, and in it what `script` says. It knows nobody's own keys and
    /// settings, and gives up a connection that says nothing.
    pub(crate) fn login(&self, over: SocketAddr, script: &Path) -> Vec<String> {
        let key = self.folder.join("user_key").display().to_string();
        let user = warroom::attach::peer::myself().login;
        let (port, script) = (over.port().to_string(), script.display().to_string());
        let mut line = vec![self.ssh.display().to_string()];
        line.extend(["-F", "none", "-tt", "-i", &key, "-p", &port].map(str::to_owned));
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "EscapeChar=none",
        ] {
            line.extend(["-o", option].map(str::to_owned));
        }
        line.extend([format!("{user}@{}", over.ip()), "sh".to_owned(), script]);
        line
    }
}

/// A wire between a client and `sshd`: it carries bytes both ways until it is told to go dead. Then both ends stay open, and
/// neither hears of the other any more, as when a laptop leaves its network.
pub(crate) struct Wire {
    /// Where the client connects to.
    pub(crate) address: SocketAddr,
    dead: Arc<AtomicBool>,
    far: Arc<Mutex<Option<TcpStream>>>,
}

impl Wire {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dead = Arc::new(AtomicBool::new(false));
        let far_end = Arc::<Mutex<Option<TcpStream>>>::default();
        let (cut, kept) = (Arc::clone(&dead), Arc::clone(&far_end));
        std::thread::spawn(move || {
            // One client; the test makes a wire for each.
            let (near, _) = listener.accept().unwrap();
            let far = TcpStream::connect(target).unwrap();
            *kept.lock().unwrap() = Some(far.try_clone().unwrap());
            let (other_near, other_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let other_cut = Arc::clone(&cut);
            std::thread::spawn(move || carry(other_far, other_near, &other_cut));
            carry(near, far, &cut);
        });
        Self { address, dead, far: far_end }
    }

    /// From now on nothing comes through, and nobody is told.
    pub(crate) fn go_dead(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// `sshd` learns that the connection is lost. Its kernel would tell it after minutes without an answer; it asks for a
    /// sign of life itself (`ClientAliveInterval`), but in some versions only while it has nothing to send, and may know
    /// already.
    pub(crate) fn give_up(&self) {
        if let Some(far) = &*self.far.lock().unwrap() {
            // It may be closed already.
            let _ = far.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Ends when a side closes. What comes on a dead wire is read and lost, so that each side sees a peer that takes bytes and
/// never says anything.
fn carry(mut from: TcpStream, mut to: TcpStream, dead: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !dead.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    if !dead.load(Ordering::SeqCst) {
        // The other side may have closed already.
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}
