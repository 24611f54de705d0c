//! A program in a pseudo-terminal of its own: keys in, bytes and a screen out, and what it leaves behind.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use portable_pty::{ChildKiller, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::platform::write_config;

/// How long anything may take on a machine that builds and tests something else beside.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What is started.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// The config; empty for none.
    pub(crate) config: &'a str,
    /// The data folder; one of the session's own where none is told.
    pub(crate) data: Option<&'a Path>,
    /// Options of the console, besides those that name config and data folder.
    pub(crate) options: &'a [&'a str],
    /// Variables, besides those that point away from the user's own files.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// Columns and rows.
    pub(crate) size: (u16, u16),
    /// Whether the terminal sends its signals to the program: a hang-up, above all.
    pub(crate) controlling: bool,
    /// What is run.
    pub(crate) program: Program<'a>,
}

/// What is run.
#[derive(Clone, Copy)]
pub(crate) enum Program<'a> {
    /// The built binary.
    Warroom,
    /// An interactive shell, which has the console's command line as `$CONSOLE`.
    Shell,
    /// An ignored test of this file.
    Test(&'a str),
}

impl Plan<'_> {
    pub(crate) const CONSOLE: Plan<'static> = Plan {
        config: "",
        data: None,
        options: &[],
        environment: &[],
        size: (80, 24),
        controlling: true,
        program: Program::Warroom,
    };
}

/// How a program ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) code: u32,
    pub(crate) at: Instant,
    /// The processor time that it took in its life.
    pub(crate) cpu: Duration,
}

/// The program, its terminal and its folder.
pub(crate) struct Session {
    pub(crate) folder: tempfile::TempDir,
    /// Everything that was written to the terminal.
    pub(crate) written: Vec<u8>,
    pub(crate) pid: Pid,
    screen: vt100::Parser,
    master: Option<Box<dyn MasterPty + Send>>,
    // Kept open, so that the settings can be read when the program has ended.
    slave: Option<Box<dyn SlavePty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    output: Receiver<Vec<u8>>,
    reader: Option<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
    ends: Receiver<Ended>,
    killer: Box<dyn ChildKiller + Send + Sync>,
    before: String,
}

impl Session {
    pub(crate) fn start(plan: Plan<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (cols, rows) = plan.size;
        let pair =
            native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let before = settings(&*pair.master);
        let mut child = pair.slave.spawn_command(command(plan, folder.path())).unwrap();
        let mut source = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let (sender, output) = channel();
        let closing = Arc::new(AtomicBool::new(false));
        let close = Arc::clone(&closing);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() || close.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        let pid = Pid::from_raw(i32::try_from(child.process_id().unwrap()).unwrap()).unwrap();
        let killer = child.clone_killer();
        let (tell, ends) = channel();
        std::thread::spawn(move || {
            // Not yet reaped: a process that has ended still tells what it has used.
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
            let (at, cpu) = (Instant::now(), cpu(pid));
            let code = child.wait().unwrap().exit_code();
            // The test may be over.
            let _ = tell.send(Ended { code, at, cpu });
        });
        Self {
            folder,
            written: Vec::new(),
            pid,
            screen: vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0),
            master: Some(pair.master),
            slave: Some(pair.slave),
            keys: Some(keys),
            output,
            reader: Some(reader),
            closing,
            ends,
            killer,
            before,
        }
    }

    /// Reads until something holds of the screen; fails with the screen when it takes too long or the output ends.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self.screen.screen()) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("no {what} ({error}); the screen:\n{}", self.shown()),
            }
        }
    }

    /// Reads until the screen shows a text.
    pub(crate) fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    /// Reads until the screen no longer shows a text.
    pub(crate) fn hides(&mut self, text: &str) {
        self.until(&format!("screen without {text}"), |screen| !screen.contents().contains(text));
    }

    /// Whether nothing at all is written for so long, at some time before patience ends.
    pub(crate) fn falls_silent_for(&mut self, length: Duration) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.output.recv_timeout(length) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => panic!("it ended; the screen:\n{}", self.shown()),
            }
        }
        false
    }

    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    /// The screen as text.
    pub(crate) fn shown(&self) -> String {
        self.screen.screen().contents()
    }

    pub(crate) fn press(&mut self, keys: &str) {
        let writer = self.keys.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        self.screen.screen_mut().set_size(rows.try_into().unwrap(), cols.try_into().unwrap());
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// The terminal vanishes, as when its window is closed: nobody holds its other end any more.
    pub(crate) fn vanish(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Something is drawn, so the reader wakes, sees that it must close, and lets go of its handle.
        self.press("?");
        self.reader.take().unwrap().join().unwrap();
        drop(self.keys.take());
        drop(self.master.take());
    }

    /// Waits for the end, and reads what was written until then.
    pub(crate) fn ended(&mut self) -> Ended {
        let ended = match self.ends.recv_timeout(PATIENCE) {
            Ok(ended) => ended,
            Err(error) => panic!("it does not end ({error}); the screen:\n{}", self.shown()),
        };
        if let Some(master) = &self.master {
            assert_eq!(settings(&**master), self.before, "echo, line mode or signals are not as before");
            // With the last user gone the reader comes to the end of the output.
            drop(self.slave.take());
            while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
                self.take(&bytes);
            }
        }
        ended
    }

    /// Fails unless everything is as a shell wants to find it.
    pub(crate) fn assert_given_back(&self) {
        let written = String::from_utf8_lossy(&self.written);
        let count = |sequence: &str| written.matches(sequence).count();
        assert!(!self.screen().alternate_screen(), "the shell's screen is not back");
        assert!(!self.screen().hide_cursor(), "the cursor is still hidden");
        assert!(!self.screen().bracketed_paste(), "pastes are still marked");
        assert_eq!(self.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is taken");
        assert!(!self.screen().application_cursor() && !self.screen().application_keypad(), "other keys");
        assert_eq!(self.screen().fgcolor(), vt100::Color::Default, "the shell would write in our colour");
        assert_eq!(count("\x1b[22;0t"), count("\x1b[23;0t"), "the title is not restored: {written:?}");
        assert_eq!(count("\x1b[?1049h"), count("\x1b[?1049l"), "the screens do not match");
        if let (Some(begin), Some(end)) = (written.rfind("\x1b[?2026h"), written.rfind("\x1b[?2026l")) {
            assert!(begin < end, "the terminal still waits for the end of an update");
        }
        self.assert_alone();
    }

    /// Fails when a process of this test is left.
    pub(crate) fn assert_alone(&self) {
        let mark = self.folder.path().to_str().unwrap();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            // A process that ends while we look is not left.
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            assert!(!line.contains(mark), "process {} is left: {line}", entry.file_name().display());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.written.extend_from_slice(bytes);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.killer.kill();
    }
}

fn command(plan: Plan<'_>, folder: &Path) -> CommandBuilder {
    let mut line = vec![env!("CARGO_BIN_EXE_warroom").to_owned()];
    line.extend(plan.options.iter().map(|option| (*option).to_owned()));
    let data = plan.data.map_or_else(|| folder.join("data"), Path::to_path_buf);
    line.extend(["--data-dir".to_owned(), data.display().to_string()]);
    if !plan.config.is_empty() {
        line.extend(["--config".to_owned(), write_config(folder, plan.config).display().to_string()]);
    }
    let mut command = match plan.program {
        Program::Warroom => {
            let mut command = CommandBuilder::new(&line[0]);
            command.args(&line[1..]);
            command
        }
        Program::Shell => {
            let mut command = CommandBuilder::new("sh");
            command.arg("-i");
            command.env("PS1", "ready> ");
            command.env("CONSOLE", line.join(" "));
            command
        }
        Program::Test(name) => {
            let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
            command.args([name, "--exact", "--ignored", "--nocapture"]);
            command
        }
    };
    command.set_controlling_tty(plan.controlling);
    command.cwd(folder);
    command.env("TERM", "xterm-256color");
    for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        command.env(name, folder);
    }
    for name in ["WARROOM_CONFIG", "WARROOM_DATA_DIR", "NO_COLOR", "COLORTERM", "ENV"] {
        command.env_remove(name);
    }
    for (name, value) in plan.environment {
        command.env(name, value);
    }
    command
}

/// The terminal's settings as a text that can be compared.
fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().unwrap())
}

/// Processor time of a process and all its threads: `utime` and `stime` of proc(5), in hundredths of a second.
fn cpu(pid: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in brackets, may hold blanks.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
