package refresh

import (
	"hash/fnv"
	"time"
)

// windows returns the last parts of a token's life in which a refresh is wanted
// and needed. In the advisory window the current token is served and one
// background attempt is made; in the mandatory window callers wait for the
// attempt. Both are zero for a life that is not known.
func windows(life time.Duration) (advisory, mandatory time.Duration) {
	switch {
	case life <= 0:
		return 0, 0
	case life <= 20*time.Minute:
		advisory = 5 * time.Minute
	case life <= 90*time.Minute:
		advisory = 15 * time.Minute
	default:
		advisory = time.Hour
	}
	return min(advisory, life/4), min(time.Minute, life/20)
}

// The parts of a window that jitter may take away: one draw for the token, so
// that tokens issued together are not refreshed together, and one for the
// replica, so that one replica starts and the others hear of it.
const (
	tokenJitter   = 0.15
	replicaJitter = 0.15
)

// narrowed takes jitter off a window; token and replica are in [0, 1).
func narrowed(window time.Duration, token, replica float64) time.Duration {
	return time.Duration(float64(window) * (1 - tokenJitter*token - replicaJitter*replica))
}

// draw is a number in [0, 1) that every replica computes alike from a token's id
// and cred.
func draw(id, cred string) float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	_, _ = h.Write([]byte(cred))
	return float64(h.Sum32()) / (1 << 32)
}
