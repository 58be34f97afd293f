# Builds the binary, then keeps nothing but it. Needs no network besides the crate registry.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock clippy.toml ./
COPY src ./src
COPY benches ./benches
COPY tests/main.rs ./tests/main.rs
RUN cargo build --release --locked --bin goldsmith

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --create-home goldsmith
COPY --from=build /src/target/release/goldsmith /usr/local/bin/goldsmith
USER goldsmith
WORKDIR /home/goldsmith
ENV HTTP_ADDR=0.0.0.0:8000
EXPOSE 8000
VOLUME /home/goldsmith/data
STOPSIGNAL SIGTERM
ENTRYPOINT ["goldsmith"]
CMD ["up"]
