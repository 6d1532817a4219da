package redisstore

import "github.com/redis/go-redis/v9"

// Dial returns the client that Open makes of a URL, with the settings that notice a
// failure soon: for New, when the client has to carry hooks or is used for more. It
// does no I/O. A URL that does not parse matches bellwether.ErrInvalid; no error holds
// the password.
func Dial(rawURL string) (redis.UniversalClient, error) { return dial(rawURL) }
