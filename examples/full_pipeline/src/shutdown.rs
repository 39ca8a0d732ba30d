//! Stopping: one request that every task sees, however late it looks.

use tokio::sync::watch;

/// The side that asks to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The side that is asked. Cloned into every task.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A connected pair.
#[must_use]
pub fn shutdown() -> (Stopper, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Shutdown(receiver))
}

impl Stopper {
    /// Asks everybody to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether stopping was asked for; a vanished [`Stopper`] counts as asking.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns when stopping is asked for.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        // An error means that the other side is gone, which is a request too.
        let _gone = receiver.wait_for(|stop| *stop).await;
    }
}

/// Stops on the first Ctrl-C or SIGTERM; the second Ctrl-C ends the process at once.
pub fn stop_on_signals(stopper: Stopper) {
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("stopping; press Ctrl-C again to stop at once");
        stopper.stop();
        wait_for_signal().await;
        std::process::exit(130);
    });
}

async fn wait_for_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // Without a handler the default action ends the process, which stops it too.
    let _unavailable = tokio::signal::ctrl_c().await;
}
