//! The same questions to a kube-apiserver and to an emitter in front of it.
//!
//! Invariants: an item holds if status, the headers that clients depend on and the
//! body are equal; every other item must be a row of `docs/emitter-differences.md`,
//! and every row there must be an item that really differs.

mod answer;
mod body;
pub(crate) mod fresh;
mod odd;
mod question;
mod shapes;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use futures::StreamExt;

use self::answer::Answer;
use self::question::Question;
use self::world::World;
use crate::lab::Lab;

/// How many questions are under way at once: most of them wait for a watch to end.
const AT_ONCE: usize = 48;

/// Two servers are not asked in the same instant: a list may move on between the
/// two, and ages of objects are in seconds.
const TRIES: usize = 3;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(350);

pub(crate) async fn an_emitter_answers_as_its_api_server_does(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    compare(scene, 0).await
}

pub(crate) async fn a_relay_of_a_relay_answers_as_the_api_server_does(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    compare(scene, 2).await
}

async fn compare(scene: Arc<Scene>, n_relays: usize) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let world = World::new(&lab, n_relays).await?;
    let questions = question::all(&world);
    let n_items = questions.len();
    let asked = futures::stream::iter(questions.into_iter().map(|it| differs(&world, it)));
    let found: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
    let found: BTreeMap<String, String> = found.into_iter().flatten().collect();

    eprintln!("{} of {n_items} items hold", n_items - found.len());
    let known = differences(DIFFERENCES)?;
    let is_known = |item: &str| known.iter().any(|pattern| matches(pattern, item));
    let (deliberate, news): (Vec<_>, Vec<_>) = found.iter().partition(|(item, _)| is_known(item));
    eprintln!("{} differ on purpose", deliberate.len());
    for (item, difference) in &news {
        eprintln!("DIFFERS {item}\n{difference}");
    }
    let stale: Vec<_> = (known.iter())
        .filter(|pattern| !found.keys().any(|item| matches(pattern, item)))
        .collect();
    ensure!(news.is_empty(), "{} items differ, see above", news.len());
    ensure!(
        stale.is_empty(),
        "these are listed as differences and hold: {stale:#?}"
    );
    Ok(())
}

/// The list that people read, so that it and this test cannot drift apart.
const DIFFERENCES: &str = include_str!("../../../../docs/emitter-differences.md");

/// Asks both until they agree. What is left over is the difference.
async fn differs(world: &World, question: Question) -> Option<(String, String)> {
    let mut last = None;
    for _ in 0..TRIES {
        let (theirs, ours) = tokio::join!(
            Answer::of(&world.upstream, &question),
            Answer::of(&world.emitter, &question),
        );
        last = match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => theirs.difference(&ours),
            (Err(why), _) => return Some((question.item, format!("    theirs: {why:#}"))),
            (_, Err(why)) => return Some((question.item, format!("    ours: {why:#}"))),
        };
        last.as_ref()?;
        // Ages are whole seconds, and a watch takes whole seconds: the next try begins elsewhere.
        tokio::time::sleep(PAUSE).await;
    }
    last.map(|difference| (question.item, difference))
}

/// The items that rows of tables begin with, in backquotes.
fn differences(text: &str) -> anyhow::Result<BTreeSet<String>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let items = rows.map(|row| {
        let (item, reason) = row.split_once("` | ").context(row.to_owned())?;
        ensure!(reason.len() > 10, "{item} has no reason");
        Ok(item.to_owned())
    });
    items.collect()
}

/// Whether a row is about an item. A `*` in it stands for anything.
fn matches(pattern: &str, item: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = item.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}
