//! Randomness and wall clock of a simulated run.
//!
//! Everything in the process that is random (hash seeds, `select!`, uids, jitter) comes
//! from `getrandom` of the C library in the end, and every time of day from
//! `clock_gettime`. This module replaces both for threads that simulate: the programs
//! under test need no change, and no code path that takes its randomness from elsewhere
//! is overlooked. Other threads get what the kernel says.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use rustix::time::{ClockId, Timespec};
use tokio::time::Instant;

/// Time of day at which every run begins: 2026-01-01 00:00:00 UTC.
const EPOCH: i64 = 1_767_225_600;

thread_local! {
    static RANDOM: Cell<Option<u64>> = const { Cell::new(None) };
    static CLOCK: Cell<Option<Clock>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    offset_millis: i64,
}

/// Makes everything that is random on this thread follow from a seed.
pub(crate) fn seed(seed: u64) {
    RANDOM.set(Some(seed));
    fastrand::seed(seed);
}

/// Starts the wall clock of this thread. Call it within a runtime whose clock is paused.
pub(crate) fn start_clock() {
    CLOCK.set(Some(Clock {
        start: Instant::now(),
        offset_millis: 0,
    }));
}

/// Moves the wall clock of this thread; negative values move it back.
pub(crate) fn jump(millis: i64) {
    if let Some(clock) = CLOCK.get() {
        CLOCK.set(Some(Clock {
            offset_millis: clock.offset_millis + millis,
            ..clock
        }));
    }
}

/// Stops the wall clock of this thread, which has the system's again.
pub(crate) fn stop_clock() {
    CLOCK.set(None);
}

// Splitmix64, which is a few lines and good enough to seed others.
fn next(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, z ^ (z >> 31))
}

fn fill(mut state: u64, buffer: &mut [MaybeUninit<u8>]) -> u64 {
    for chunk in buffer.chunks_mut(8) {
        let (after, value) = next(state);
        state = after;
        for (byte, random) in chunk.iter_mut().zip(value.to_le_bytes()) {
            byte.write(random);
        }
    }
    state
}

/// Stands in for `getrandom` of the C library.
///
/// # Safety
///
/// `buffer` points to `length` bytes that may be written, as that function demands.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, unreachable_pub)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: u32) -> isize {
    // SAFETY: the caller owns `length` writable bytes there, initialized or not.
    let buffer =
        unsafe { std::slice::from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), length) };
    if let Ok(Some(state)) = RANDOM.try_with(Cell::get) {
        RANDOM.set(Some(fill(state, buffer)));
        return isize::try_from(length).unwrap_or(isize::MAX);
    }
    let flags = rustix::rand::GetRandomFlags::from_bits_retain(flags);
    match rustix::rand::getrandom(buffer, flags) {
        Ok((filled, _)) => isize::try_from(filled.len()).unwrap_or(-1),
        Err(_) => -1,
    }
}

/// Stands in for `clock_gettime` of the C library.
///
/// # Safety
///
/// `time` points to a `timespec` that may be written, as that function demands.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, unreachable_pub)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    let virtual_clock = CLOCK.try_with(Cell::get).ok().flatten();
    let now = match (clock, virtual_clock) {
        (0, Some(clock)) => of_day(clock),
        (1, _) => rustix::time::clock_gettime(ClockId::Monotonic),
        (0, None) => rustix::time::clock_gettime(ClockId::Realtime),
        (2, _) => rustix::time::clock_gettime(ClockId::ProcessCPUTime),
        (3, _) => rustix::time::clock_gettime(ClockId::ThreadCPUTime),
        (7, _) => rustix::time::clock_gettime(ClockId::Boottime),
        _ => return -1,
    };
    // SAFETY: the caller owns a writable `timespec` there, which has this layout.
    unsafe { time.write(now) };
    0
}

fn of_day(clock: Clock) -> Timespec {
    let elapsed = i64::try_from(clock.start.elapsed().as_nanos()).unwrap_or(i64::MAX);
    let nanos = elapsed + clock.offset_millis * 1_000_000;
    Timespec {
        tv_sec: EPOCH + nanos.div_euclid(1_000_000_000),
        tv_nsec: nanos.rem_euclid(1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};
    use std::time::SystemTime;

    fn random(seed: u64) -> (u64, u64) {
        let drawn = std::thread::spawn(move || {
            super::seed(seed);
            (RandomState::new().hash_one(1), fastrand::u64(..))
        });
        drawn.join().expect("the thread only draws")
    }

    #[test]
    fn one_seed_draws_the_same_numbers_and_another_one_others() {
        assert_eq!(random(1), random(1));
        assert_ne!(random(1), random(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_follows_the_virtual_clock() {
        super::start_clock();
        let before = SystemTime::now();
        tokio::time::advance(std::time::Duration::from_hours(1)).await;
        assert_eq!(before.elapsed().map(|it| it.as_secs()).ok(), Some(3600));
        super::stop_clock();
        assert!(before < SystemTime::now());
    }
}
