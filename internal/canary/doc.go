// Package canary holds one test: unique secrets go through every path of the
// library and of the command, good and bad, and nothing that others can see may show
// them.
//
// What holds: logs, errors, printed values, reports, Redis (the bytes on the wire, key
// names, values, messages, the append-only file), requests but for their bodies and
// Authorization headers, the test provider's log, process arguments and environments,
// output and files of the command hold no 12 bytes of a secret: as they are, in
// base64, hexadecimal, decimal, percent-encoded or escaped as in JSON. Each surface is
// shown to be searched by a secret that is leaked there on purpose.
//
// What does not: memory is not searched; nor is what exists to carry a token: the
// output of bellwether get, *oauth2.Token, and *http.Request as a Provider builds it.
package canary
