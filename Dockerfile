# The image holds one static binary, runs as nobody and writes only to /data.
#   docker build -t hkw .
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /hkw ./cmd/hkw && mkdir /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /hkw /hkw
COPY --from=build --chown=65534:65534 /data /data
USER 65534:65534
ENV HKW_DATA=/data
VOLUME /data
EXPOSE 1883 8080
ENTRYPOINT ["/hkw"]
