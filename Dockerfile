# The image holds one static binary, runs as nobody and writes only to /data.
#
#   docker build -t hkw --build-arg VERSION=1.2.3 .
#   docker run --rm --network host hkw                   on this machine's loopback, without sound
#   docker compose up hkw                                with it: see docker-compose.yml
#
# Not yet built by a container engine: .ci/image carries out its steps by hand.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETOS TARGETARCH TARGETVARIANT VERSION
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# timetzdata: quiet hours are in local time (TZ), and there are no zone files in the image.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} go build -trimpath -tags timetzdata -ldflags="-s -w ${VERSION:+-X main.release=$VERSION}" -o /image/hkw ./cmd/hkw
# Whoever runs it (--user) may write to /data; a new volume takes that over.
RUN mkdir -p /image/data /image/etc/ssl/certs && chmod 1777 /image/data && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

FROM scratch
COPY --from=build /image/ /
USER 65534:65534
ENV HKW_DATA=/data
VOLUME /data
EXPOSE 1883 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["/hkw", "health"]
ENTRYPOINT ["/hkw"]
