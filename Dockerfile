# syntax=docker/dockerfile:1.7
# One image a service: docker build --target checkout -t ghcr.io/fairline/checkout .
# Targets: waiting-room, admission-controller, checkout, sandbox-gateway, fairline, rehearsing-controller.

FROM node:20.19-bookworm-slim AS web
WORKDIR /fairline/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN node scripts/build.mjs

FROM rust:1.95.0-slim-bookworm AS build
ARG TARGETARCH
# What the image has: rust-toolchain.toml asks for lints, too.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /fairline
COPY . .
COPY --from=web /fairline/web/dist web/dist
# What was compiled for an earlier image is taken from the cache; what runs is copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,id=fairline-target-$TARGETARCH,target=/fairline/target \
    cargo build --locked --release --package admission-controller --package checkout --package waiting-room \
        --package fairline-sandbox-gateway --package fairline \
    && mkdir --parents /built/lib /built/media \
    && cp --dereference "$(gcc -print-file-name=libgcc_s.so.1)" /built/lib/ \
    && for program in admission-controller checkout waiting-room sandbox-gateway fairline; do \
        strip --strip-all -o "/built/$program" "target/release/$program"; \
    done

# No shell, no packages, no root: the C library and certificates alone, and what unwinds the stack.
FROM gcr.io/distroless/base-nossl-debian12:nonroot AS service
COPY --from=build /built/lib/ /usr/lib/
ENV FAIRLINE_LISTEN=0.0.0.0:8080
EXPOSE 8080
USER 65532:65532

FROM service AS waiting-room
COPY --from=build /built/waiting-room /waiting-room
ENTRYPOINT ["/waiting-room"]

FROM service AS admission-controller
COPY --from=build /built/admission-controller /admission-controller
# Where compose mounts a volume for images, which takes the owner of this folder.
COPY --from=build --chown=65532:65532 /built/media/ /media/
ENTRYPOINT ["/admission-controller"]

FROM service AS checkout
COPY --from=build /built/checkout /checkout
ENTRYPOINT ["/checkout"]

FROM service AS sandbox-gateway
COPY --from=build /built/sandbox-gateway /sandbox-gateway
ENTRYPOINT ["/sandbox-gateway"]

FROM service AS fairline
COPY --from=build /built/fairline /fairline
ENTRYPOINT ["/fairline"]

# A controller that rehearses: with the program that sends crowds, which has no place where real money is taken.
FROM admission-controller AS rehearsing-controller
COPY --from=build /built/fairline /fairline
