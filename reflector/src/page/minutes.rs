//! Times of propagation over time, as a chart.

use std::time::Duration;

use maud::{Markup, html};
use runtime::page::n_of;

use crate::metrics::propagation::Minute;

/// Height of the chart.
const HEIGHT: u128 = 60;

/// Width of one minute.
const WIDTH: usize = 10;

/// Renders a chart with a bar for each minute: the longest time, and the mean within it. What it
/// shows is also written as text.
pub(super) fn chart(minutes: &[Minute]) -> Markup {
    let top = minutes
        .iter()
        .map(|it| it.longest)
        .max()
        .unwrap_or_default();
    let busy = minutes.iter().filter(|it| it.changes != 0);
    let n_changes: u32 = minutes.iter().map(|it| it.changes).sum();
    let worst = busy.clone().max_by_key(|it| it.longest);
    let sum: Duration = busy.map(|it| it.sum).sum();
    let mean = sum.checked_div(n_changes).unwrap_or_default();
    let span = n_of(minutes.len(), "minute");
    html! {
        @match worst {
            None => p { "No change of endpoints was written in the last " (span) "." },
            Some(worst) => figure.minutes {
                figcaption {
                    "Last " (span) ": " (n_of(number(n_changes), "change")) ", "
                    (seconds(mean)) " on average, at most " (seconds(worst.longest)) " "
                    (ago(minutes, worst))
                }
                svg.minutes aria-hidden="true" preserveAspectRatio="none"
                    viewBox={ "0 0 " (minutes.len() * WIDTH) " " (HEIGHT) } {
                    @for (i, minute) in minutes.iter().enumerate() {
                        @let x = i * WIDTH;
                        (bar(x, minute.longest, top, "longest"))
                        (bar(x, minute.mean(), top, "mean"))
                    }
                }
            },
        }
    }
}

fn bar(x: usize, time: Duration, top: Duration, class: &str) -> Markup {
    let height = (time.as_micros() * HEIGHT).checked_div(top.as_micros());
    // A minute with changes is seen, however short they took.
    let least = u128::from(!time.is_zero());
    let height = height.unwrap_or_default().max(least);
    html! {
        rect class=(class) x=(x) y=(HEIGHT - height) width=(WIDTH - 2) height=(height) {}
    }
}

fn ago(minutes: &[Minute], of: &Minute) -> String {
    let now = minutes.last().map_or(of.at, |it| it.at);
    match usize::try_from(now - of.at) {
        Ok(0) | Err(_) => "in the present minute".to_owned(),
        Ok(n) => format!("{} ago", n_of(n, "minute")),
    }
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.3} s")
    } else {
        format!("{seconds:.0} s")
    }
}

fn number(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::chart;
    use crate::metrics::propagation::Minute;

    #[test]
    fn the_chart_is_also_said_in_words() {
        let minute = |at, changes, sum, longest| Minute {
            at,
            changes,
            sum: Duration::from_millis(sum),
            longest: Duration::from_millis(longest),
        };
        let minutes = [
            minute(1, 0, 0, 0),
            minute(2, 2, 300, 200),
            minute(3, 2, 100, 50),
        ];
        let html = chart(&minutes).into_string();
        let words = "Last 3 minutes: 4 changes, 0.100 s on average, at most 0.200 s 1 minute ago";
        assert!(html.contains(words), "{html}");
        assert_eq!(html.matches("class=\"longest\"").count(), 3, "{html}");
        assert!(html.contains(r#"y="0" width="8" height="60""#), "{html}");
        let none = chart(&minutes[..1]).into_string();
        assert!(none.contains("No change of endpoints"), "{none}");
    }
}
