# The command and the example worker, static, in an image that holds nothing else but
# the certificates by which the provider is checked.
#
#   docker build -t bellwether .
#   docker run --rm bellwether version

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/ ./cmd/bellwether ./examples/worker

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/bellwether"]
