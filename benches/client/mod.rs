//! A minimal HTTP client that costs next to nothing beside the server it measures, and a runner for
//! servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

/// The bytes of a GET request.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// A connection that is kept open.
pub struct Connection {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
    /// The body of the last answer.
    pub body: Vec<u8>,
}

impl Connection {
    pub fn open(addr: SocketAddr) -> Self {
        let writer = TcpStream::connect(addr).unwrap();
        writer.set_nodelay(true).unwrap();
        let reader = BufReader::with_capacity(1 << 20, writer.try_clone().unwrap());
        Self { writer, reader, body: Vec::new() }
    }

    /// Sends `count` requests, taking `requests` in turn, and reads every answer; `depth` of them are
    /// in flight at once.
    pub fn send(&mut self, requests: &[Vec<u8>], count: usize, depth: usize) {
        let mut turn = requests.iter().cycle();
        let mut left = count;
        while left > 0 {
            let batch = left.min(depth);
            let sent: Vec<u8> = turn.by_ref().take(batch).flatten().copied().collect();
            self.writer.write_all(&sent).unwrap();
            for _ in 0..batch {
                self.read_answer();
            }
            left -= batch;
        }
    }

    /// Reads one answer into `self.body`.
    pub fn read_answer(&mut self) {
        let mut line = String::new();
        let mut length = 0;
        self.reader.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        loop {
            line.clear();
            self.reader.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body).unwrap();
    }
}

/// Runs a server on its own thread until the process ends.
pub fn in_background<S, F>(start: S) -> SocketAddr
where
    S: FnOnce() -> (SocketAddr, F) + Send + 'static,
    F: Future<Output = ()>,
{
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let (addr, serving) = start();
            sender.send(addr).unwrap();
            serving.await;
        });
    });
    receiver.recv().unwrap()
}
