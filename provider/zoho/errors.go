package zoho

import (
	"time"

	"github.com/bellwether-go/bellwether"
	"github.com/bellwether-go/bellwether/internal/wire"
)

// throttlePause is how long to stay away after "Access Denied". Zoho blocks for
// the rest of a window of ten minutes and does not say how long that is; a
// minute finds its end soon with few calls in vain.
const throttlePause = time.Minute

// table is what Zoho's error codes mean, over RFC 6749's. Sources: Zoho's
// accounts and CRM pages on token validity, token limits and multi-dc.
var table = wire.RFC.With(wire.Table{
	// A used or ended grant token, and a revoked or unknown refresh token.
	"invalid_code": {Class: bellwether.ClassRefused, Concern: bellwether.ConcernToken,
		Hint: "the grant token was used or ended after three minutes, or the refresh token was revoked; sign in again"},
	"invalid_client": {Class: bellwether.ClassConfig, Concern: bellwether.ConcernClient,
		Hint: "wrong client id, or the client is not known in this data centre; check the accounts URL of the token"},
	"invalid_client_secret": {Class: bellwether.ClassConfig, Concern: bellwether.ConcernClient,
		Hint: "wrong client secret; each data centre has its own"},
	"invalid_redirect_uri": {Class: bellwether.ClassConfig, Concern: bellwether.ConcernToken,
		Hint: "the redirect URL differs from the one of the sign-in"},
	// Ten access tokens in ten minutes were made from one refresh token. Seen with
	// status 200 and 400; never a revocation.
	"Access Denied": {Class: bellwether.ClassThrottled, Concern: bellwether.ConcernToken, RetryAfter: throttlePause,
		Hint: "too many access tokens were made from this refresh token; does anything else refresh it?"},
	"access_denied": {Class: bellwether.ClassConfig, Concern: bellwether.ConcernToken,
		Hint: "the user refused, or too many grant tokens were made; sign in again in ten minutes"},
	// Not documented: it proves nothing about the credential.
	"general_error": {Class: bellwether.ClassUnknown, Concern: bellwether.ConcernToken,
		Hint: "Zoho does not say what general_error means; check client and data centre when it stays"},
	"missing_org_info": {Class: bellwether.ClassConfig, Concern: bellwether.ConcernToken,
		Hint: `client credentials need the organisation as Extra["soid"]`},
	"invalid_scope": {Class: bellwether.ClassConfig, Concern: bellwether.ConcernToken,
		Hint: "a scope is unknown or not granted"},
})

// rejects are the codes with which Zoho's APIs refuse an access token, by the
// statuses that they come with. OAUTH_SCOPE_MISMATCH is not among them: another
// token would have the same scopes.
var rejects = map[string][]int{
	"INVALID_TOKEN":          {401, 400}, // 400: Phonebridge
	"INVALID_OAUTHTOKEN":     {401},
	"AUTHENTICATION_FAILURE": {401}, // now and then for a dead token too
	"AUTHENTICATION_FAILED":  {401},
}
