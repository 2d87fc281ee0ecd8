//! The run: starts the scene, shows it, does what is asked, and leaves nothing.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use proto_types::Resource;
use runtime::Tasks;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::advice::{self, Advice};
use crate::args::PlaygroundOptions;
use crate::control::{self, Asked, Request};
use crate::observe;
use crate::playground_view::{Moment, PlaygroundView, ViewUpdate};
use crate::scene::{self, Fault, Kind, Order, Ordered, Outcome, Places, Scene};
use crate::terminal::{self, Input, Key, Screen};
use crate::view::plain::{self, Told};
use crate::view::{self, Look, Page};

const NOTHING_LEFT: &str = "nothing is left of the playground";

/// A change of the screen follows what changed by at most this.
const FRAME: Duration = Duration::from_millis(100);

/// Plays until told to end.
pub(crate) async fn play(wishes: &PlaygroundOptions) -> anyhow::Result<()> {
    let is_plain = wishes.plain || !terminal::is_there();
    if !is_plain {
        let size = terminal::size().context("cannot learn the terminal's size; use --plain")?;
        if let Some(lack) = size.lack() {
            anyhow::bail!("{lack}, or use --plain");
        }
    }
    let _ = runtime::files::raise_limit();
    let shutdown = runtime::shutdown::on_signal()?;
    let mut tasks = Tasks::new(shutdown.clone()).with_grace(GRACE);
    end_with_the_terminal(&mut tasks)?;
    let started = shutdown.run_until_cancelled(Scene::start(wishes, &mut tasks, say));
    let Some(started) = started.await else {
        say(NOTHING_LEFT);
        return Ok(());
    };
    let (scene, places) = started?;
    let (orders, ordered) = mpsc::channel(8);
    let (requests, asked) = mpsc::channel(8);
    let (told, news) = mpsc::channel(256);
    spawn_all(&mut tasks, &places, &told, requests).await?;
    drop(told);
    let advice = advice::advice(&places);
    let stop = shutdown.clone();
    tasks.spawn("the scene", async move {
        stop.run_until_cancelled(scene.run(ordered))
            .await
            .unwrap_or(Ok(()))
    });
    let page = advice::page(&places);
    let player = Player::new(wishes, orders, advice, page);
    let ears = EventChannels { news, asked };
    let stop = shutdown.clone();
    tasks.spawn("the view", async move {
        let played = if is_plain {
            player.print(ears, &stop).await
        } else {
            player.show(ears, &stop).await
        };
        stop.cancel();
        played.or_else(|error| match error.downcast_ref::<io::Error>() {
            // Whoever reads has read enough.
            Some(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })
    });
    tasks.run().await?;
    say(NOTHING_LEFT);
    Ok(())
}

/// Processes are killed, and files removed, within a moment.
const GRACE: Duration = Duration::from_secs(5);

async fn spawn_all(
    tasks: &mut Tasks,
    places: &Places,
    told: &mpsc::Sender<ViewUpdate>,
    requests: mpsc::Sender<Asked>,
) -> anyhow::Result<()> {
    let shutdown = tasks.shutdown().clone();
    let listener = control::listen(&places.socket())?;
    let stop = shutdown.clone();
    tasks.spawn("the control socket", async move {
        let served = stop
            .run_until_cancelled(control::serve(listener, requests))
            .await;
        served.unwrap_or(Ok(()))
    });
    let ask = observe::ask(places.reflector, told.clone());
    let stop = shutdown.clone();
    tasks.spawn("asking the reflector", async move {
        stop.run_until_cancelled(ask).await.unwrap_or(Ok(()))
    });
    let local = scene::local_client(places).await?;
    for resource in [Resource::Services, Resource::EndpointSlices] {
        let follow = observe::follow(local.clone(), resource, told.clone());
        let stop = shutdown.clone();
        tasks.spawn(format!("following mirrors ({resource})"), async move {
            stop.run_until_cancelled(follow).await;
            anyhow::Ok(())
        });
    }
    Ok(())
}

/// A terminal that closes says so once, and takes nothing any more.
fn end_with_the_terminal(tasks: &mut Tasks) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = tasks.shutdown().clone();
    tasks.spawn("looking after the terminal", async move {
        stop.run_until_cancelled(hangup.recv()).await;
        stop.cancel();
        anyhow::Ok(())
    });
    Ok(())
}

/// What the player hears.
struct EventChannels {
    news: mpsc::Receiver<ViewUpdate>,
    asked: mpsc::Receiver<Asked>,
}

/// Sees what there is, shows it, and passes on what is asked.
struct Player {
    picture: PlaygroundView,
    began: Instant,
    orders: mpsc::Sender<Ordered>,
    /// What was ordered by keys, and is under way.
    ordered: FuturesUnordered<oneshot::Receiver<Outcome>>,
    advice: Vec<Advice>,
    /// Address of the reflector's page.
    page: String,
    look: Look,
}

impl Player {
    fn new(
        wishes: &PlaygroundOptions,
        orders: mpsc::Sender<Ordered>,
        advice: Vec<Advice>,
        page: String,
    ) -> Self {
        let look = Look {
            page: Page::Overview,
            chosen: 0,
            note: format!("the reflector's page: {page}"),
            elapsed: Duration::ZERO,
            clusters: Kind::of(wishes).name(),
        };
        Self {
            picture: PlaygroundView::default(),
            began: Instant::now(),
            orders,
            ordered: FuturesUnordered::new(),
            advice,
            page,
            look,
        }
    }

    /// Prints plain lines.
    async fn print(
        mut self,
        mut ears: EventChannels,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut told = Told::default();
        let mut is_advised = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(news) = ears.news.recv() => self.take_in(news),
                Some(asked) = ears.asked.recv() => self.answer(asked),
                else => return Ok(()),
            }
            if self.picture.is_complete() && !is_advised {
                is_advised = true;
                let note = advice::lacking_kubectl();
                let note = note.map(|it| format!("\n{it}\n")).unwrap_or_default();
                print(&format!(
                    "{}{note}\nCtrl-C ends it all.\n",
                    advice::text(&self.page, &self.advice)
                ))?;
            }
            print(&told.news(&self.picture, self.began.elapsed()))?;
        }
    }

    /// Shows the view.
    async fn show(
        mut self,
        mut ears: EventChannels,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (sender, mut inputs) = mpsc::channel(8);
        let mut screen = Screen::open(sender).context("cannot use the terminal; use --plain")?;
        let mut frames = tokio::time::interval(FRAME);
        let mut is_due = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(news) = ears.news.recv() => self.take_in(news),
                Some(asked) = ears.asked.recv() => self.answer(asked),
                Some(Ok(outcome)) = self.ordered.next() => {
                    self.look.note = outcome.unwrap_or_else(|why| why);
                }
                Some(input) = inputs.recv() => match input {
                    Input::Closed | Input::Key(Key::Interrupt | Key::Letter('q')) => return Ok(()),
                    Input::Key(key) => self.press(key),
                    Input::Resized => {}
                },
                _ = frames.tick(), if is_due => {
                    self.look.elapsed = self.began.elapsed();
                    let lines = view::draw(&self.picture, &self.advice, &self.look, terminal::size()?);
                    screen.show(&lines)?;
                    is_due = false;
                    continue;
                }
            }
            is_due = true;
        }
    }

    fn take_in(&mut self, news: ViewUpdate) {
        let now = Moment {
            elapsed: self.began.elapsed(),
            time: Timestamp::now(),
        };
        self.picture.apply(news, now);
    }

    fn answer(&self, (request, answer): Asked) {
        let outcome = match request {
            Request::Do(order) => return self.order(order, answer),
            Request::Status if self.picture.is_complete() => Ok(plain::summary(&self.picture)),
            Request::Status => Err("the playground is still starting; ask again".to_owned()),
        };
        let _ = answer.send(outcome);
    }

    fn order(&self, order: Order, answer: oneshot::Sender<Outcome>) {
        if let Err(refused) = self.orders.try_send((order, answer)) {
            let (_, answer) = refused.into_inner();
            let _ = answer.send(Err("the playground is busy; ask again".to_owned()));
        }
    }

    fn press(&mut self, key: Key) {
        let rows = self.picture.rows();
        let order = |order: fn(String) -> Order| {
            rows.get(self.look.chosen)
                .map(|row| order(row.name.clone()))
        };
        let order = match key {
            Key::Up => {
                self.look.chosen = self.look.chosen.saturating_sub(1);
                None
            }
            Key::Down => {
                self.look.chosen = (self.look.chosen + 1).min(rows.len().saturating_sub(1));
                None
            }
            Key::Letter('t') => {
                self.look.page = match self.look.page {
                    Page::Overview => Page::Advice,
                    Page::Advice => Page::Overview,
                };
                None
            }
            Key::Letter('s') => order(|it| Order::Break(it, Fault::Stop)),
            Key::Letter('h') => order(|it| Order::Break(it, Fault::Hang)),
            Key::Letter('c') => order(|it| Order::Break(it, Fault::Corrupt)),
            Key::Letter('e') => order(|it| Order::Break(it, Fault::Empty)),
            Key::Letter('a') => order(|it| Order::Break(it, Fault::Apiserver)),
            Key::Letter('b') => order(Order::Heal),
            Key::Letter(_) | Key::Interrupt => None,
        };
        let Some(order) = order else { return };
        let (sender, outcome) = oneshot::channel();
        self.order(order, sender);
        self.ordered.push(outcome);
    }
}

/// To standard error, where it is no part of what is printed.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "playground: {line}");
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
