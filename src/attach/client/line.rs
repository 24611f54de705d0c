//! One connection: made, trusted, greeted.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::UnixStream,
    time::timeout,
};
use tokio_util::codec::{Decoder, FramedRead, LinesCodec, LinesCodecError};

use super::AttachError;
use crate::attach::{
    socket,
    wire::{Greeting, LONGEST_ASK, LONGEST_TOLD, PROTOCOL, SOCKET, Welcome},
};

/// How long an engine may take to welcome a console.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A connection after the welcome.
pub(super) struct Line<S> {
    pub(super) reader: FramedRead<ReadHalf<S>, WholeLines>,
    pub(super) writer: WriteHalf<S>,
    pub(super) welcome: Welcome,
}

/// Lines of at most so many bytes. What stands after the last line end when the connection breaks off is no line.
pub(super) struct WholeLines(LinesCodec);

impl WholeLines {
    pub(super) fn of(longest: usize) -> Self {
        Self(LinesCodec::new_with_max_length(longest))
    }
}

impl Decoder for WholeLines {
    type Item = String;
    type Error = LinesCodecError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<String>, LinesCodecError> {
        self.0.decode(bytes)
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<String>, LinesCodecError> {
        let line = self.0.decode(bytes)?;
        if line.is_none() {
            bytes.clear();
        }
        Ok(line)
    }
}

/// Connects to the engine of a data folder, if it is one that may be trusted with what a console says.
pub(super) async fn open(folder: &Path, greeting: &Greeting) -> Result<Line<UnixStream>, AttachError> {
    let path = folder.join(SOCKET);
    let failed = |path: PathBuf| move |source| AttachError::of_connecting(folder, path, source);
    let address = socket::address(folder).map_err(failed(path.clone()))?;
    let stream = UnixStream::connect(address.path()).await.map_err(failed(path.clone()))?;
    let peer = stream.peer_cred().map_err(|source| AttachError::Socket { path: path.clone(), source })?;
    let owner = fs::metadata(folder).map_err(failed(path))?.uid();
    let own = rustix::process::geteuid().as_raw();
    if !is_trusted(peer.uid(), own, owner) {
        let pid = peer.pid().unwrap_or_default();
        return Err(AttachError::Stranger { folder: folder.to_path_buf(), uid: peer.uid(), pid });
    }
    greet(stream, folder, greeting).await
}

/// Whether a user may be told what a console says: root, oneself, or the data folder's owner, whose engine it must be.
const fn is_trusted(user: u32, own: u32, owner: u32) -> bool {
    user == 0 || user == own || user == owner
}

/// Says who we are, and hears who answers.
pub(super) async fn greet<S: AsyncRead + AsyncWrite>(
    stream: S,
    folder: &Path,
    greeting: &Greeting,
) -> Result<Line<S>, AttachError> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = FramedRead::new(reader, WholeLines::of(LONGEST_ASK));
    let ended = || AttachError::Ended(folder.to_path_buf());
    let exchange = async {
        // Whoever refuses a console may have said so and left before its greeting was written.
        let said = say(&mut writer, greeting).await;
        match reader.next().await {
            Some(Ok(text)) => Ok(text),
            Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                Err(AttachError::garbled(folder, "its first line is too long"))
            }
            Some(Err(LinesCodecError::Io(error))) if error.kind() == io::ErrorKind::InvalidData => {
                Err(AttachError::garbled(folder, "its first line is no text"))
            }
            Some(Err(LinesCodecError::Io(_))) | None => Err(ended()),
        }
        .or_else(|error| said.map_err(|_| ended()).and(Err(error)))
    };
    let text = timeout(PATIENCE, exchange).await.map_err(|_| AttachError::Silent(folder.to_path_buf()))??;
    let welcome: Welcome = serde_json::from_str(&text)
        .map_err(|error| AttachError::garbled(folder, &format!("its first line is no welcome ({error})")))?;
    if welcome.protocol != PROTOCOL {
        return Err(AttachError::version(welcome.protocol, &welcome.version, welcome.pid));
    }
    if let Some(reason) = &welcome.refused {
        return Err(AttachError::refused(welcome.pid, reason));
    }
    // Between two lines the codec remembers nothing; what has already been read stays in the reader.
    *reader.decoder_mut() = WholeLines::of(LONGEST_TOLD);
    Ok(Line { reader, writer, welcome })
}

/// Writes one value as a line.
pub(super) async fn say<S: AsyncWrite>(writer: &mut WriteHalf<S>, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value).map_err(io::Error::other)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_trusted_but_root_oneself_and_the_folders_owner() {
        let (alice, service, mallory) = (1000, 990, 1001);
        for (user, trusted) in [(0, true), (alice, true), (service, true), (mallory, false)] {
            assert_eq!(is_trusted(user, alice, service), trusted, "user {user}");
        }
    }
}
