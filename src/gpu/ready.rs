//! A value that a callback brings, as a future.

use alloc::sync::Arc;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;

use super::faults::lock;

#[derive(Debug)]
struct State<V> {
    value: Option<V>,
    waker: Option<Waker>,
}

/// Where the value comes in.
#[derive(Debug)]
pub(super) struct Promise<V>(Arc<Mutex<State<V>>>);

/// Where it comes out.
#[derive(Debug)]
pub(super) struct Ready<V>(Arc<Mutex<State<V>>>);

/// Both ends.
pub(super) fn pair<V>() -> (Promise<V>, Ready<V>) {
    let state = Arc::new(Mutex::new(State { value: None, waker: None }));
    (Promise(Arc::clone(&state)), Ready(state))
}

impl<V> Promise<V> {
    pub(super) fn keep(self, value: V) {
        let mut state = lock(&self.0);
        state.value = Some(value);
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }
}

impl<V> Ready<V> {
    /// The value, where it has come; in browsers it is awaited.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn now(&self) -> Option<V> {
        lock(&self.0).value.take()
    }
}

impl<V> Future for Ready<V> {
    type Output = V;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<V> {
        let mut state = lock(&self.0);
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
