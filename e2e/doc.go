// Package e2e runs Bellwether against parts that nobody here wrote: an OAuth 2
// authorization server with refresh-token rotation and reuse detection
// (github.com/ory/fosite) over a real Redis, and the compose file as the
// compose-go library reads it. It is a module of its own, so that no user inherits
// these dependencies.
package e2e
