//! A program in a pseudo-terminal: what a person sees, and how the terminal is lost.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long anything may take on a machine that builds and tests something else beside.
const PATIENCE: Duration = Duration::from_secs(30);
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// The program and its terminal; killed with the test.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    output: Receiver<Vec<u8>>,
    reader: Option<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
    screen: vt100::Parser,
    before: String,
    /// Everything that was written.
    pub(crate) written: String,
}

impl Terminal {
    pub(crate) fn start(line: &[String]) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let before = settings(&*pair.master);
        let mut command = CommandBuilder::new(&line[0]);
        command.args(&line[1..]);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
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
        Self {
            child,
            master: Some(pair.master),
            keys: Some(keys),
            output,
            reader: Some(reader),
            closing,
            screen: vt100::Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0),
            before,
            written: String::new(),
        }
    }

    /// Reads until something holds of what is seen; fails with the screen when it takes too long or the program ends.
    pub(crate) fn until<T>(&mut self, what: &str, seen: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = seen(self) {
                return seen;
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("no {what} ({error}); the screen:\n{}", self.shown()),
            }
        }
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

    /// Ends the program without asking it.
    pub(crate) fn kill(&mut self) {
        // SIGKILL is sent by id: portable-pty's own `kill` begins with a hang-up, which a program may answer.
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        self.child.wait().unwrap();
    }

    /// The window is closed: nobody holds the terminal's other end any more.
    pub(crate) fn vanish(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Something is drawn, so the reader wakes, sees that it must close, and lets go of its handle.
        self.press("?");
        self.reader.take().unwrap().join().unwrap();
        drop(self.keys.take());
        drop(self.master.take());
    }

    /// Waits until the program has ended by itself, and reads what it wrote until then; its exit code.
    pub(crate) fn ended(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // The last user of the terminal is gone, and so its output comes to an end.
                while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
                    self.take(&bytes);
                }
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "it does not end; the screen:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.written.push_str(&String::from_utf8_lossy(bytes));
    }

    /// Fails unless everything is as a shell wants to find it.
    pub(crate) fn assert_given_back(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the shell's screen is not back");
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste(), "pastes are still marked");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is taken");
        assert!(!screen.application_cursor() && !screen.application_keypad(), "other keys");
        let now = settings(&**self.master.as_ref().unwrap());
        assert_eq!(now, self.before, "echo, line mode or signals are not as before");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The terminal's settings as a text that can be compared.
fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().unwrap())
}
