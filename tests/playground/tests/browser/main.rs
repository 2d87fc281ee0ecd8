//! The reflector's page in a real browser: it is accessible, live, and shows hostile names as text.
//! With `UPDATE=1` the screenshots in docs/images are written again.
#![allow(clippy::panic, clippy::unwrap_used)]

mod chromium;
mod play;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use chromium::Browser;
use play::Playground;

/// Widths of the screenshots: a phone, a tablet, a desktop.
const WIDTHS: [(u32, u32); 3] = [(390, 700), (820, 700), (1280, 720)];

const THEMES: [&str; 2] = ["light", "dark"];

/// Time within which a change is to be seen.
const SEEN: Duration = Duration::from_secs(1);

/// Measurements, of which the shortest counts: other tests keep the machine busy.
const TRIES: usize = 3;

#[test]
fn the_page_is_accessible_live_and_shows_hostile_names_as_text() {
    let Some((binary, axe)) = tools() else { return };
    let playground = Playground::start();
    let mut browser = Browser::start(&binary);
    let page = playground.page.clone();

    playground.exports_hostile_names();
    let service = format!("{page}services/mirrors/east-demo-73736d-web");
    let services = format!("{page}services");
    for url in [&page, &services, &service, &playground.emitter_page()] {
        for theme in THEMES {
            for (width, height) in WIDTHS {
                browser.looks_like(theme, width, height);
                browser.open(url);
                is_accessible(&mut browser, &axe, &format!("{url}, {theme}, {width}"));
                fits(&mut browser, width);
            }
        }
    }
    the_checker_finds_faults(&mut browser, &axe);
    shows_hostile_names_as_text(&mut browser, &service);
    is_live(&mut browser, &services, &playground);
    keeps_the_focus(&mut browser, &services, &playground);
    if std::env::var("UPDATE").is_ok_and(|it| it == "1") {
        browser.open(&page);
        take_screenshots(&mut browser);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Returns Chromium and the text of axe-core. A test that lacks one of them is not run, which
/// is a failure with `CI=true`.
fn tools() -> Option<(PathBuf, String)> {
    let lacking = match (chromium::find(), axe()) {
        (Some(binary), Ok(axe)) => return Some((binary, axe)),
        (None, _) => "there is no chromium on the PATH; install the package chromium".to_owned(),
        (_, Err(why)) => format!("{why}; install the package npm"),
    };
    eprintln!("NOT RUN: the test of the page in a browser: {lacking}");
    let is_ci = std::env::var("CI").is_ok_and(|it| it == "true");
    assert!(!is_ci, "{lacking}");
    None
}

/// Returns axe-core in the version that the lock file pins.
fn axe() -> Result<String, String> {
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe");
    std::fs::create_dir_all(&folder).map_err(|it| it.to_string())?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(pinned.join(file), folder.join(file)).map_err(|it| it.to_string())?;
    }
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        let npm = std::process::Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .output();
        let npm = npm.map_err(|it| format!("cannot run npm: {it}"))?;
        if !npm.status.success() {
            let why = String::from_utf8_lossy(&npm.stderr).into_owned();
            return Err(format!("npm cannot install axe-core: {why}"));
        }
    }
    std::fs::read_to_string(&script).map_err(|it| it.to_string())
}

#[track_caller]
fn is_accessible(browser: &mut Browser, axe: &str, place: &str) {
    browser.evaluate(&format!("{axe}; 0"));
    let found = browser.evaluate(
        "axe.run().then(it => it.violations.map(it => \
         `${it.id}: ${it.help}: ${it.nodes.map(it => it.html).join(' ').slice(0, 400)}`))",
    );
    assert_eq!(found, json!([]), "{place}");
    let n_passed = browser.evaluate("axe.run().then(it => it.passes.length)");
    assert!(10 < n_passed.as_u64().unwrap(), "{place}: {n_passed} rules");
}

/// A checker that does not run finds nothing either.
#[track_caller]
fn the_checker_finds_faults(browser: &mut Browser, axe: &str) {
    browser.evaluate(
        "document.querySelector('main').append(document.createElement('input')); \
         document.getElementById('connection').style.color = '#555'; 0",
    );
    browser.evaluate(&format!("{axe}; 0"));
    let found = browser.evaluate("axe.run().then(it => it.violations.map(it => it.id))");
    assert_eq!(found, json!(["color-contrast", "label"]));
}

/// No part of the page is wider than the window; wide tables scroll by themselves.
#[track_caller]
fn fits(browser: &mut Browser, width: u32) {
    let needed = browser.evaluate("document.documentElement.scrollWidth");
    assert!(
        needed.as_u64().unwrap() <= width.into(),
        "{needed}, {width}"
    );
}

fn shows_hostile_names_as_text(browser: &mut Browser, url: &str) {
    browser.open(url);
    let shown = browser.evaluate("document.querySelector('main').textContent");
    assert!(shown.as_str().unwrap().contains(play::HOSTILE), "{shown}");
    let n_elements = browser.evaluate("document.querySelectorAll('img, main script').length");
    assert_eq!(n_elements, json!(0));
    assert_eq!(browser.evaluate("window.owned === undefined"), json!(true));
}

fn is_live(browser: &mut Browser, url: &str, playground: &Playground) {
    browser.open(url);
    let mut times = Vec::new();
    for i in 0..TRIES {
        let name = format!("new-{i}");
        let row = format!("document.querySelector('main').textContent.includes('{name}')");
        assert_eq!(browser.evaluate(&row), json!(false));
        playground.exports(&name);
        let changed = Instant::now();
        while browser.evaluate(&row) != json!(true) {
            assert!(
                changed.elapsed() < Duration::from_secs(30),
                "not seen: {name}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        times.push(changed.elapsed());
    }
    eprintln!("changes were seen after {times:?}");
    assert!(times.iter().min().unwrap() < &SEEN, "{times:?}");
}

/// An update neither moves the focus nor what was typed.
fn keeps_the_focus(browser: &mut Browser, url: &str, playground: &Playground) {
    browser.open(url);
    let focus = "document.querySelector('main tbody a').focus(); document.activeElement.href";
    let focused = browser.evaluate(focus);
    playground.exports("zz-last");
    let seen = "document.querySelector('main').textContent.includes('zz-last')";
    let started = Instant::now();
    while browser.evaluate(seen) != json!(true) {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(browser.evaluate("document.activeElement.href"), focused);
}

fn take_screenshots(browser: &mut Browser) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    std::fs::create_dir_all(&folder).unwrap();
    for theme in THEMES {
        for (width, height) in WIDTHS {
            browser.looks_like(theme, width, height);
            std::thread::sleep(Duration::from_millis(300));
            let image = browser.screenshot();
            std::fs::write(folder.join(format!("page-{theme}-{width}.png")), image).unwrap();
        }
        browser.looks_like(theme, 1280, 1000);
        let shown = browser.evaluate(
            "(it => { it?.scrollIntoView({block: 'center'}); return it !== null })\
             (document.querySelector('figure.minutes'))",
        );
        assert_eq!(shown, json!(true), "the page has no times of propagation");
        std::thread::sleep(Duration::from_millis(300));
        let image = browser.screenshot();
        std::fs::write(folder.join(format!("propagation-{theme}.png")), image).unwrap();
        browser.evaluate("scrollTo(0, 0)");
    }
}

/// Returns a text of an answer.
fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_default().to_owned()
}
