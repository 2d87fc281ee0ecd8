//! Limit of the requests to the upstream about credentials, which any client can invent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum number of requests to the upstream at a time.
const MAX: usize = 32;

/// Maximum number of requests for one address, waiting ones included.
const MAX_OF_ADDRESS: usize = 4;

/// Longest time that a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Turns at questions.
#[derive(Debug)]
pub(super) struct Turns {
    all: Semaphore,
    by_address: Mutex<HashMap<Option<IpAddr>, usize>>,
}

/// There are too many requests; a later one may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many credentials are being reviewed")]
pub(super) struct Busy;

/// A turn, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _place: Place<'a>,
    _permit: SemaphorePermit<'a>,
}

#[derive(Debug)]
struct Place<'a> {
    turns: &'a Turns,
    address: Option<IpAddr>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            all: Semaphore::new(MAX),
            by_address: Mutex::default(),
        }
    }
}

impl Turns {
    /// Waits for a turn, but not for long.
    pub(super) async fn take(&self, address: Option<IpAddr>) -> Result<Turn<'_>, Busy> {
        let place = self.place(address)?;
        let permit = tokio::time::timeout(PATIENCE, self.all.acquire()).await;
        Ok(Turn {
            _place: place,
            _permit: permit.map_err(|_| Busy)?.map_err(|_| Busy)?,
        })
    }

    fn place(&self, address: Option<IpAddr>) -> Result<Place<'_>, Busy> {
        let mut by_address = self.by_address.lock();
        let n = by_address.entry(address).or_default();
        if MAX_OF_ADDRESS <= *n {
            return Err(Busy);
        }
        *n += 1;
        Ok(Place {
            turns: self,
            address,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut by_address = self.turns.by_address.lock();
        if let Some(n) = by_address.get_mut(&self.address) {
            *n -= 1;
            if *n == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_leaves_turns_to_the_others() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..MAX_OF_ADDRESS {
            held.push(turns.take(address(1)).await.unwrap());
        }
        assert_eq!(turns.take(address(1)).await.err(), Some(Busy));
        assert!(turns.take(address(2)).await.is_ok());
        held.pop();
        assert!(turns.take(address(1)).await.is_ok());
        drop(held);
        assert!(turns.by_address.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_only_for_a_while() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for i in 0..MAX {
            let from = address(u8::try_from(i / MAX_OF_ADDRESS).unwrap());
            held.push(turns.take(from).await.unwrap());
        }
        let begin = tokio::time::Instant::now();
        assert_eq!(turns.take(address(99)).await.err(), Some(Busy));
        assert_eq!(begin.elapsed(), PATIENCE);
    }
}
