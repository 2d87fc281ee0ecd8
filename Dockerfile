# syntax=docker/dockerfile:1
#
# All programs, static, for linux/amd64 and linux/arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 --tag IMAGE --push .

# Compiles on the builder's own architecture: emulation would take an hour.
FROM --platform=$BUILDPLATFORM rust:1.95.0-bookworm AS build
ARG BUILDARCH
ARG TARGETARCH
WORKDIR /src

# The only C is within ring, which needs a compiler for the target and no library.
RUN if [ "$TARGETARCH" != "$BUILDARCH" ]; then \
      case "$TARGETARCH" in \
        amd64) packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
        arm64) packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
      esac; \
      apt-get update && apt-get install --yes --no-install-recommends $packages; \
    fi

ENV CC_x86_64_unknown_linux_musl=x86_64-linux-gnu-gcc \
    CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld

COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=target-$TARGETARCH,target=/src/target \
    case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-musl ;; \
      arm64) target=aarch64-unknown-linux-musl ;; \
      *) echo "there is no recipe for $TARGETARCH" >&2; exit 1 ;; \
    esac \
    && rustup target add "$target" \
    && cargo build --locked --profile dist --target "$target" --package emitter --package reflector --package heliograph \
    && mkdir /programs \
    && cp "target/$target/dist/emitter" "target/$target/dist/reflector" \
        "target/$target/dist/heliograph" /programs/

FROM scratch
# For sources with HTTPS and no caFile of their own.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /programs/ /
# Nobody's, as in the manifests, which name the program to run.
USER 65532:65532
