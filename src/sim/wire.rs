//! A connection to the simulated platforms, which can be torn.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tracing::debug;

/// Whether a connection ends with a reset instead of an end.
pub(super) type Tear = Arc<AtomicBool>;

/// A connection that ends with a reset when its [`Tear`] says so.
pub(super) struct Wire {
    stream: TcpStream,
    tear: Tear,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> (Self, Tear) {
        let tear = Tear::default();
        (Self { stream, tear: Arc::clone(&tear) }, tear)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.tear.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            debug!("a simulated connection ends in peace instead of with a reset: {error}");
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
