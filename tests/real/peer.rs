//! Two nginx servers behind `HAProxy`, configured in a temporary folder.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{
    process::{Peer, find, free_port},
    truth,
};

/// Two nginx servers behind `HAProxy`.
#[derive(Debug)]
pub(crate) struct Pool {
    folder: tempfile::TempDir,
    nginx: PathBuf,
    /// Where clients go.
    pub(crate) front: SocketAddr,
    /// The server that serves in peace.
    pub(crate) primary: Peer,
    primary_port: u16,
    _secondary: Peer,
    _haproxy: Peer,
}

impl Pool {
    /// Starts all three and waits until the primary serves; `None` when one of them is not installed.
    pub(crate) fn start() -> Option<Self> {
        let (nginx, haproxy) = (find("nginx", "nginx-light")?, find("haproxy", "haproxy")?);
        let folder = tempfile::tempdir().unwrap();
        let [primary_port, secondary_port, front_port] = [free_port(), free_port(), free_port()];
        for (name, port) in [("primary", primary_port), ("secondary", secondary_port)] {
            let server = folder.path().join(name);
            fs::create_dir(&server).unwrap();
            fill(
                include_str!("nginx.conf"),
                &server.join("nginx.conf"),
                &[("FOLDER", &server.display()), ("PORT", &port), ("NAME", &name)],
            );
        }
        fs::write(folder.path().join("primary/warm"), "{}").unwrap();
        let settings = folder.path().join("haproxy.cfg");
        let values: [(&str, &dyn std::fmt::Display); 3] =
            [("PORT", &front_port), ("PRIMARY", &primary_port), ("SECONDARY", &secondary_port)];
        fill(include_str!("haproxy.cfg"), &settings, &values);
        let primary = start_nginx(&nginx, "primary", folder.path(), primary_port);
        let secondary = start_nginx(&nginx, "secondary", folder.path(), secondary_port);
        let front = SocketAddr::from(([127, 0, 0, 1], front_port));
        let mut haproxy =
            Peer::start("haproxy", &haproxy, folder.path(), &["-db", "-f", &settings.display().to_string()]);
        haproxy.until("answer from the primary", || {
            let sample = truth::sample(front);
            sample.whole && sample.served_by.as_deref() == Some("primary")
        });
        Some(Self { folder, nginx, front, primary, primary_port, _secondary: secondary, _haproxy: haproxy })
    }

    /// From now on the secondary's transaction works; it does not before.
    pub(crate) fn warm_secondary(&self) {
        fs::write(self.folder.path().join("secondary/warm"), "{}").unwrap();
    }

    /// The primary comes back.
    pub(crate) fn restart_primary(&mut self) {
        self.primary = start_nginx(&self.nginx, "primary", self.folder.path(), self.primary_port);
    }
}

fn start_nginx(program: &Path, name: &'static str, folder: &Path, port: u16) -> Peer {
    let settings = folder.join(name).join("nginx.conf");
    let errors = folder.join(name).join("error.log");
    let arguments = ["-c", &settings.display().to_string(), "-e", &errors.display().to_string()];
    let mut peer = Peer::start(name, program, folder, &arguments);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    peer.until("answer", || truth::sample(address).served_by.as_deref() == Some(name));
    peer
}

/// Writes a config with its placeholders filled.
fn fill(template: &str, path: &Path, values: &[(&str, &dyn std::fmt::Display)]) {
    let text = values.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("@{name}@"), &value.to_string())
    });
    fs::write(path, text).unwrap();
}
