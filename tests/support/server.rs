//! The application: in this process, or as the running binary.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use goldsmith::startup::{Application, open_store};
use secrecy::ExposeSecret;

use super::http::{Http, Reply};
use super::shop::{Ran, Shop};

/// The real application on a free port, stopped at the end of the test.
pub struct TestApp {
    http: Http,
    admin_token: String,
    handle: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl TestApp {
    /// Serves what the shop has published.
    pub fn spawn(shop: &Shop) -> Self {
        Self::spawn_with(shop, &[])
    }

    /// Serves with settings from the environment.
    pub fn spawn_with(shop: &Shop, variables: &[(&str, &str)]) -> Self {
        let settings = shop.settings(variables);
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let store = open_store(&settings).unwrap();
                let application = Application::build(&settings, store).unwrap();
                let token = application.admin_token().token.expose_secret().to_owned();
                sender.send((application.addr(), application.handle(), token)).unwrap();
                application.run().await.unwrap();
            });
        });
        let (addr, handle, admin_token) = receiver.recv().unwrap();
        let http = Http::to(format!("http://{addr}"));
        Self { http, admin_token, handle, thread: Some(thread) }
    }

    /// Any method with headers and a body, as an administrator.
    #[track_caller]
    pub fn admin_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        self.http.ask(method, path, &self.admin_token, headers, body)
    }

    /// The token of administrators.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Any method, as an administrator.
    #[track_caller]
    pub fn admin(&self, method: &str, path: &str) -> Reply {
        self.http.send_as(method, path, Some(&self.admin_token))
    }
}

impl std::ops::Deref for TestApp {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // Requested here, done by the server's own thread.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the application panicked");
        }
    }
}

/// A running `goldsmith`, reached at the address that it printed.
pub struct Running {
    child: std::process::Child,
    /// Reads its standard error all the time: a process blocks on a pipe that is full.
    stderr: Option<JoinHandle<String>>,
    /// Its standard output until it served.
    pub stdout: String,
    /// A client of it.
    pub http: Http,
}

impl Running {
    /// Starts a command that serves and waits until it does.
    pub fn start(shop: &Shop, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::serving(shop.command(arguments, variables))
    }

    /// Starts `serve` in a mount namespace of its own, with what these shell commands mount.
    pub fn start_in_own_mounts(shop: &Shop, mount: &str, token: &str) -> Self {
        let path = std::env::var_os("PATH").unwrap();
        let script = format!("{mount} && exec {} serve", env!("CARGO_BIN_EXE_goldsmith"));
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .current_dir(shop.path())
            .env_clear()
            .env("PATH", path)
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("ADMIN_TOKEN", token);
        Self::serving(command)
    }

    fn serving(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while stdout.matches("  curl ").count() < 3 {
            let Some(line) = lines.next() else {
                let ran = Ran::of(child.wait_with_output().unwrap());
                panic!("the server ended: {stdout} {ran:?}");
            };
            stdout.push_str(&(line.unwrap() + "\n"));
        }
        let url = stdout.split("serving on ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        let mut pipe = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, stderr: Some(stderr), stdout, http: Http::to(url) }
    }

    /// Waits until it has ended without a signal.
    pub fn wait_for_its_end(mut self) {
        let ends = std::time::Instant::now() + Duration::from_mins(1);
        while self.child.try_wait().unwrap().is_none() {
            assert!(std::time::Instant::now() < ends, "it did not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM; returns the exit code and standard error. A process that does not end within
    /// a minute is killed and fails the test, which otherwise would wait for ever.
    pub fn stop(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let pid = self.child.id();
        let (ended, has_ended) = mpsc::channel::<()>();
        let guard = std::thread::spawn(move || {
            let is_stuck = has_ended.recv_timeout(Duration::from_mins(1))
                == Err(mpsc::RecvTimeoutError::Timeout);
            if is_stuck {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            }
            is_stuck
        });
        let code = self.child.wait().unwrap().code();
        let err = self.stderr.take().unwrap().join().unwrap();
        drop(ended);
        assert!(!guard.join().unwrap(), "SIGTERM did not end it within a minute: {err}");
        (code, err)
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    /// Ends a process that a failed test leaves behind.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
