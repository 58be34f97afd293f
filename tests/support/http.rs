//! A blocking HTTP client of one server.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// How long an idle connection is used again: the server closes one after five seconds, perhaps in the very moment
/// of a request.
const MAX_IDLE: Duration = Duration::from_secs(2);

/// A client of one server.
pub struct Http {
    url: String,
    agent: ureq::Agent,
}

impl Http {
    /// Of the server at `http://host:port`.
    pub fn to(url: String) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_age(MAX_IDLE)
            .build();
        Self { url, agent: config.into() }
    }

    /// Its address, for other clients.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.get_as(path, None)
    }

    /// GET with a bearer token.
    #[track_caller]
    pub fn get_as(&self, path: &str, token: Option<&str>) -> Reply {
        self.send_as("GET", path, token)
    }

    /// Any method without a body.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str) -> Reply {
        self.send_as(method, path, None)
    }

    /// Any method without a body, with a bearer token.
    #[track_caller]
    pub fn send_as(&self, method: &str, path: &str, token: Option<&str>) -> Reply {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        reply(self.agent.run(request.body(()).unwrap()).unwrap())
    }

    /// Any method with headers and a body, with a bearer token.
    #[track_caller]
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reply(self.agent.run(request.body(body.to_owned()).unwrap()).unwrap())
    }

    /// Sends a request to a server that may die before it responds.
    pub fn try_send(&self, method: &str, path: &str, token: &str) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {token}"));
        drop(self.agent.run(request.body(()).unwrap()));
    }

    /// The body of a GET while it arrives; `last_event` is the last event that the client received.
    pub fn stream(
        &self,
        path: &str,
        token: Option<&str>,
        last_event: Option<&str>,
    ) -> impl Read + Send + 'static {
        let mut request = ureq::http::Request::builder().uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(last_event) = last_event {
            request = request.header("Last-Event-ID", last_event);
        }
        let response = self.agent.run(request.body(()).unwrap()).unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body().into_reader()
    }

    /// The `data` of a response that must be 200.
    #[track_caller]
    pub fn data(&self, path: &str) -> Value {
        self.data_as(path, None)
    }

    /// The same with a bearer token.
    #[track_caller]
    pub fn data_as(&self, path: &str, token: Option<&str>) -> Value {
        let reply = self.get_as(path, token);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.json()["data"].take()
    }
}

fn reply(mut response: ureq::http::Response<ureq::Body>) -> Reply {
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.body_mut().read_to_string().unwrap(),
    }
}
