//! The live view on a terminal of its own, which `script` makes: it takes the screen
//! over, follows keys, and gives the screen back however it ends.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A shell on a terminal, in which a playground runs.
struct Terminal {
    script: Child,
    folder: tempfile::TempDir,
}

impl Terminal {
    fn open(columns: u16, rows: u16, flags: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let playground = env!("CARGO_BIN_EXE_playground");
        let line = format!(
            "stty cols {columns} rows {rows}; stty -a > before; \
             {playground} {flags}; echo $? > code; stty -a > after"
        );
        let script = Command::new("script")
            .args([
                "--quiet",
                "--flush",
                "--return",
                "--command",
                &line,
                "typescript",
            ])
            .current_dir(folder.path())
            .env("TMPDIR", folder.path())
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("script, of util-linux, is on every Linux");
        Self { script, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shown(&self) -> String {
        let bytes = std::fs::read(self.file("typescript")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn press(&mut self, keys: &str) {
        let keyboard = self.script.stdin.as_mut().unwrap();
        keyboard.write_all(keys.as_bytes()).unwrap();
        keyboard.flush().unwrap();
    }

    /// Waits until the screen has shown something.
    #[track_caller]
    fn shows(&self, text: &str) {
        eventually(&format!("the screen shows {text:?}"), || {
            if self.shown().contains(text) {
                Ok(())
            } else {
                Err(self.shown())
            }
        });
    }

    /// Waits until the program has ended, and checks what it leaves.
    #[track_caller]
    fn is_given_back(&self, code: &str) {
        eventually("the shell goes on", || {
            let written = std::fs::metadata(self.file("after"));
            if written.is_ok_and(|it| 0 < it.len()) {
                Ok(())
            } else {
                Err(self.shown())
            }
        });
        let read = |name: &str| std::fs::read_to_string(self.file(name)).unwrap();
        assert_eq!(read("code").trim(), code, "{}", self.shown());
        assert_eq!(read("before"), read("after"), "the terminal is as it was");
        self.leaves_nothing();
    }

    /// Waits until the screen and its cursor are the shell's again. `script` copies what the
    /// terminal shows some time after the program has written it.
    #[track_caller]
    fn screen_is_left(&self) {
        eventually("the screen is left", || {
            let shown = self.shown();
            let last = shown.rfind(ENTER).map_or("", |it| &shown[it..]);
            if last.contains(LEAVE) && last.contains(SHOW_CURSOR) {
                Ok(())
            } else {
                Err(shown)
            }
        });
    }

    #[track_caller]
    fn leaves_nothing(&self) {
        eventually("nothing is left", || {
            let files = std::fs::read_dir(self.folder.path()).unwrap().flatten();
            let runs: Vec<_> = files
                .map(|it| it.file_name().to_string_lossy().into_owned())
                .filter(|it| it.starts_with("heliograph-"))
                .collect();
            let processes = processes_with(self.folder.path());
            match (runs.is_empty(), processes.is_empty()) {
                (true, true) => Ok(()),
                _ => Err(format!("{runs:?} {processes:?}")),
            }
        });
    }
}

impl Drop for Terminal {
    /// A playground finds what it started by its folder, which therefore goes after it.
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
        let deadline = SystemTime::now() + PATIENCE;
        while !processes_with(self.folder.path()).is_empty() && SystemTime::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let deadline = SystemTime::now() + PATIENCE;
    loop {
        let Err(why) = holds() else { return };
        assert!(
            SystemTime::now() < deadline,
            "not after {PATIENCE:?}: {what}: {why}"
        );
        std::thread::sleep(POLL);
    }
}

/// Programs of the playground name their run's folder, which is in that folder.
fn processes_with(folder: &Path) -> Vec<(u32, String)> {
    let mark = format!("{}/heliograph-", folder.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|it| {
        let number = it.file_name().to_string_lossy().parse().ok()?;
        let line = std::fs::read(it.path().join("cmdline")).ok()?;
        Some((number, String::from_utf8_lossy(&line).replace('\0', " ")))
    });
    lines.filter(|(_, line)| line.contains(&mark)).collect()
}

/// The playground itself: the child of the shell of `script`.
fn playground_of(terminal: &Terminal) -> u32 {
    let child = |parent: u32| -> u32 {
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(children).unwrap();
        children.split_whitespace().next().unwrap().parse().unwrap()
    };
    child(child(terminal.script.id()))
}

#[test]
fn keys_do_what_the_last_line_says_and_the_screen_is_given_back() {
    let mut terminal = Terminal::open(110, 36, "--sources 2");
    terminal.shows(ENTER);
    terminal.shows("synced");
    terminal.shows("NameTooLong");
    terminal.press("s");
    terminal.shows("east: its emitter is stopped");
    terminal.shows("not followed; mirrors stay as they are, trying again");
    terminal.press("b");
    terminal.shows("east: its emitter runs again");
    // The arrow down, and the next source.
    terminal.press("\x1b[B");
    terminal.press("c");
    terminal.shows("west: something else answers in its emitter's place");
    terminal.press("t");
    terminal.shows("export KUBECONFIG=");
    assert!(!processes_with(terminal.folder.path()).is_empty());
    terminal.press("q");
    terminal.is_given_back("0");
    terminal.screen_is_left();
}

#[test]
fn ctrl_c_and_signals_give_the_screen_back() {
    let mut terminal = Terminal::open(80, 24, "--sources 1 --churn 0");
    terminal.shows("synced");
    terminal.press("\x03");
    terminal.is_given_back("0");
    terminal.screen_is_left();

    let terminal = Terminal::open(80, 24, "--sources 1 --churn 0");
    terminal.shows("synced");
    let playground = playground_of(&terminal).to_string();
    let killed = Command::new("kill").args(["-TERM", &playground]).status();
    assert!(killed.unwrap().success());
    terminal.is_given_back("0");
    terminal.screen_is_left();
}

#[test]
fn a_terminal_that_closes_takes_everything_along() {
    let mut terminal = Terminal::open(80, 24, "--sources 1");
    terminal.shows("synced");
    assert!(!processes_with(terminal.folder.path()).is_empty());
    terminal.script.kill().unwrap();
    terminal.leaves_nothing();
}

#[test]
fn a_playground_that_is_killed_takes_everything_along() {
    let terminal = Terminal::open(80, 24, "--sources 1");
    terminal.shows("synced");
    assert!(!processes_with(terminal.folder.path()).is_empty());
    let playground = playground_of(&terminal).to_string();
    let killed = Command::new("kill").args(["-KILL", &playground]).status();
    assert!(killed.unwrap().success());
    terminal.leaves_nothing();
}

#[test]
fn a_reflector_that_ends_by_itself_ends_the_playground_with_its_log() {
    let terminal = Terminal::open(80, 24, "--sources 1 --plain");
    terminal.shows("synced");
    let processes = processes_with(terminal.folder.path());
    let reflector = processes
        .iter()
        .find(|(_, line)| line.contains(" reflector "));
    let (reflector, _) = reflector.unwrap();
    let killed = Command::new("kill")
        .args(["-KILL", &reflector.to_string()])
        .status();
    assert!(killed.unwrap().success());
    terminal.shows("the reflector has ended by itself");
    terminal.shows("reflecting");
    terminal.is_given_back("1");
}

#[test]
fn a_terminal_may_change_its_size_and_be_too_small_for_a_while() {
    let mut terminal = Terminal::open(80, 24, "--sources 1");
    terminal.shows("synced");
    let playground = playground_of(&terminal);
    let resize = |columns: u16, rows: u16| {
        let terminal = format!("/proc/{playground}/fd/1");
        let size = ["cols", &columns.to_string(), "rows", &rows.to_string()].map(str::to_owned);
        let resized = Command::new("stty")
            .args(["-F", &terminal])
            .args(size)
            .status();
        assert!(resized.unwrap().success());
    };
    resize(50, 10);
    terminal.shows("the terminal has 50 columns and 10 lines");
    resize(90, 30);
    let before = terminal.shown().matches("LAST CHANGES HERE").count();
    eventually("the view is back", || {
        let now = terminal.shown().matches("LAST CHANGES HERE").count();
        if before < now {
            Ok(())
        } else {
            Err(String::new())
        }
    });
    resize(80, 24);
    terminal.press("q");
    terminal.is_given_back("0");
}

#[test]
fn a_terminal_that_is_too_small_is_refused_with_the_remedy() {
    let terminal = Terminal::open(50, 10, "");
    terminal.is_given_back("1");
    let shown = terminal.shown();
    let words = "the terminal has 50 columns and 10 lines, and the view needs 60 and 16; make it \
                 larger, or use --plain";
    assert!(shown.contains(words), "{shown}");
    assert!(!shown.contains(ENTER), "{shown}");
}

#[test]
fn without_kubectl_it_plays_and_says_what_the_lines_need() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    // What the keeper of processes needs, and nothing else.
    for tool in ["sh", "rm", "mv", "sleep"] {
        let found = ["/bin", "/usr/bin"].map(|it| Path::new(it).join(tool));
        let found = found.iter().find(|it| it.exists()).unwrap();
        std::os::unix::fs::symlink(found, bin.join(tool)).unwrap();
    }
    let output = std::fs::File::create(folder.path().join("output")).unwrap();
    let mut playground = Command::new(env!("CARGO_BIN_EXE_playground"))
        .args(["--sources", "1"])
        .env("PATH", &bin)
        .env("TMPDIR", folder.path())
        .env_remove("CARGO")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(folder.path().join("output")).unwrap();
    eventually("it plays", || {
        let is_it = said().contains("1 sources, 12 mirror Services here");
        if is_it { Ok(()) } else { Err(said()) }
    });
    assert!(
        said().contains("there is no kubectl on this machine's PATH"),
        "{}",
        said()
    );
    let killed = Command::new("kill")
        .args(["-INT", &playground.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    assert!(playground.wait().unwrap().success(), "{}", said());
    eventually("nothing is left", || {
        match processes_with(folder.path()).as_slice() {
            [] => Ok(()),
            left => Err(format!("{left:?}")),
        }
    });
}
