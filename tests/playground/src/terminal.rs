//! The terminal: taken over for the view, and given back however the view ends.

use std::io::{self, IsTerminal, Stdout, Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{cursor, execute, queue};
use tokio::sync::mpsc;

use crate::view::{Line, Size, Style};

/// What people do at the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// A key.
    Key(Key),
    /// It has another size.
    Resized,
    /// There is no terminal any more.
    Closed,
}

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The source above.
    Up,
    /// The source below.
    Down,
    /// A letter.
    Letter(char),
    /// Ctrl-C, which is no signal while the view has the terminal.
    Interrupt,
}

/// The screen, while the view has it.
#[derive(Debug)]
pub(crate) struct Screen {
    out: Stdout,
    is_open: Arc<AtomicBool>,
}

/// Whether standard output is a terminal.
pub(crate) fn is_there() -> bool {
    stdout().is_terminal()
}

/// How large the terminal is.
pub(crate) fn size() -> io::Result<Size> {
    let (columns, rows) = terminal::size()?;
    Ok(Size {
        columns: columns.into(),
        rows: rows.into(),
    })
}

impl Screen {
    /// Takes the terminal over. Inputs go where they are awaited.
    pub(crate) fn open(inputs: mpsc::Sender<Input>) -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // What a panic says would be lost with the view's screen.
            give_back(&mut stdout());
            before(panic);
        }));
        terminal::enable_raw_mode()?;
        let mut screen = Self {
            out: stdout(),
            is_open: Arc::new(AtomicBool::new(true)),
        };
        execute!(screen.out, EnterAlternateScreen, cursor::Hide)?;
        let is_open = Arc::clone(&screen.is_open);
        thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || read(&inputs, &is_open))?;
        Ok(screen)
    }

    /// Shows these lines and nothing else.
    pub(crate) fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        queue!(self.out, BeginSynchronizedUpdate)?;
        for (line, row) in lines.iter().zip(0..) {
            queue!(self.out, cursor::MoveTo(0, row))?;
            for (style, text) in &line.0 {
                put(&mut self.out, *style, text)?;
            }
            queue!(self.out, Clear(ClearType::UntilNewLine))?;
        }
        queue!(
            self.out,
            Clear(ClearType::FromCursorDown),
            EndSynchronizedUpdate
        )?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.is_open.store(false, Ordering::Relaxed);
        give_back(&mut self.out);
    }
}

fn give_back(out: &mut Stdout) {
    // A terminal that was closed takes nothing back.
    let _ = execute!(out, ResetColor, cursor::Show, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}

fn put(out: &mut Stdout, style: Style, text: &str) -> io::Result<()> {
    match style {
        Style::Plain => {}
        Style::Bold => queue!(out, SetAttribute(Attribute::Bold))?,
        Style::Dim => queue!(out, SetAttribute(Attribute::Dim))?,
        Style::Chosen => queue!(out, SetAttribute(Attribute::Reverse))?,
        Style::Good => queue!(out, SetForegroundColor(Color::Green))?,
        Style::Warning => queue!(out, SetForegroundColor(Color::Yellow))?,
        Style::Bad => queue!(out, SetForegroundColor(Color::Red))?,
    }
    queue!(out, Print(text), SetAttribute(Attribute::Reset), ResetColor)
}

/// Reads until the screen closes, which it looks after from time to time.
fn read(inputs: &mpsc::Sender<Input>, is_open: &AtomicBool) {
    while is_open.load(Ordering::Relaxed) {
        let input = match event::poll(Duration::from_millis(100)) {
            Ok(false) => continue,
            Ok(true) => event::read().map_or(Some(Input::Closed), meaning),
            Err(_) => Some(Input::Closed),
        };
        let Some(input) = input else { continue };
        if inputs.blocking_send(input).is_err() || input == Input::Closed {
            return;
        }
    }
}

fn meaning(event: Event) -> Option<Input> {
    match event {
        Event::Resize(..) => Some(Input::Resized),
        Event::Key(KeyEvent {
            code,
            modifiers,
            kind,
            ..
        }) if kind != KeyEventKind::Release => {
            let key = match code {
                KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
                KeyCode::Up => Key::Up,
                KeyCode::Down => Key::Down,
                KeyCode::Esc => Key::Letter('q'),
                KeyCode::Char(letter) => Key::Letter(letter.to_ascii_lowercase()),
                _ => return None,
            };
            Some(Input::Key(key))
        }
        Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) => None,
    }
}
