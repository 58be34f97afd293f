//! A proxy to an HTTP server that injects faults, chosen by the test. One request per connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;

/// The fault of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Passed on without a fault.
    None,
    /// Answered with 503 and not passed on.
    SlowDown,
    /// The connection is reset after this many bytes of the answer.
    ResetAnswer(usize),
    /// The connection is reset after this many bytes of the request's body.
    ResetBody(usize),
    /// No answer for this long, then a reset.
    Stall(Duration),
    /// Delayed by this long.
    Delay(Duration),
}

/// Chooses the fault from the request's number, method and path with query.
type Decide = Box<dyn Fn(usize, &str, &str) -> Fault + Send + Sync>;

pub struct Proxy {
    /// `http://host:port`
    pub endpoint: String,
    faults: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy to the server at this address.
    pub fn to(
        endpoint: &str,
        decide: impl Fn(usize, &str, &str) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = endpoint.strip_prefix("http://").unwrap().to_owned();
        let decide: Arc<Decide> = Arc::new(Box::new(decide));
        let (count, faults) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&faults);
        // Ends with the process; it holds nothing but a port.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let (upstream, decide, seen) =
                    (upstream.clone(), Arc::clone(&decide), Arc::clone(&seen));
                let client = client.unwrap();
                std::thread::spawn(move || {
                    // Either side may disconnect at any moment: that is the purpose.
                    let _ = pass_on(&client, &upstream, |method, path| {
                        let fault = decide(number, method, path);
                        seen.fetch_add(usize::from(fault != Fault::None), Ordering::Relaxed);
                        fault
                    });
                });
            }
        });
        Self { endpoint: format!("http://127.0.0.1:{port}"), faults }
    }

    /// The number of faults so far.
    pub fn faults(&self) -> usize {
        self.faults.load(Ordering::Relaxed)
    }
}

fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Reads a request up to its body; `None` if the client disconnects before.
fn read_head(mut client: &TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8(head).unwrap()))
}

fn body_length(headers: &str) -> u64 {
    let length = headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    length.unwrap_or(0)
}

fn answer_slow_down(mut client: &TcpStream, method: &str, length: u64) -> std::io::Result<()> {
    std::io::copy(&mut client.take(length), &mut std::io::sink())?;
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code>\
                <Message>Please reduce your request rate.</Message></Error>";
    let body = if method == "HEAD" { "" } else { body };
    write!(
        client,
        "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    client.shutdown(Shutdown::Write)
}

fn pass_on(
    mut client: &TcpStream,
    upstream: &str,
    decide: impl Fn(&str, &str) -> Fault,
) -> std::io::Result<()> {
    let Some(head) = read_head(client)? else {
        return Ok(());
    };
    let (request, headers) = head.split_once("\r\n").unwrap();
    let mut parts = request.split(' ');
    let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
    let length = body_length(headers);
    let fault = decide(method, path);
    match fault {
        Fault::SlowDown => return answer_slow_down(client, method, length),
        Fault::ResetBody(bytes) => {
            // More than there is would be waited for.
            let sent = length.min(bytes as u64);
            std::io::copy(&mut client.take(sent), &mut std::io::sink())?;
            reset(client);
            return Ok(());
        }
        Fault::Stall(pause) => {
            std::thread::sleep(pause);
            reset(client);
            return Ok(());
        }
        Fault::Delay(pause) => std::thread::sleep(pause),
        Fault::None | Fault::ResetAnswer(_) => {}
    }
    let mut server = TcpStream::connect(upstream)?;
    write!(server, "{request}\r\nConnection: close\r\n{headers}")?;
    let mut answer = server.try_clone()?;
    let mut body = client.try_clone()?;
    // A server may answer before it has read the whole body.
    let sending = std::thread::spawn(move || {
        let _ = std::io::copy(&mut (&mut body).take(length), &mut server);
    });
    if let Fault::ResetAnswer(bytes) = fault {
        std::io::copy(&mut (&mut answer).take(bytes as u64), &mut client)?;
        reset(client);
    } else {
        std::io::copy(&mut answer, &mut client)?;
        let _ = client.shutdown(Shutdown::Both);
    }
    let _ = answer.shutdown(Shutdown::Both);
    let _ = sending.join();
    Ok(())
}
