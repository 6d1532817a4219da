package sqlstore

import "strings"

// safeDigits is the length to which an ID is stretched: nine digits fit the SDKs'
// varchar(10) and their 32-bit numbers.
const safeDigits = 9

// NewID implements rules.Namer: a decimal number, as the SDKs choose theirs.
func (v *view) NewID() (string, error) {
	if err := v.lock([]string{idSlot}); err != nil {
		return "", err
	}
	last := ""
	for _, query := range []string{"max_token_id", "max_book_id"} {
		ids, err := v.texts(query)
		if err != nil {
			return "", err
		}
		last = max(last, strings.Join(ids, "")) // one, or none
	}
	for {
		id := nextID(last)
		// An SDK may have taken it since: what is seen here is what will be written over.
		// One that takes it later makes the insert fail, and all begins again.
		st, err := v.load(id)
		if err != nil || st.row == nil && st.rival == "" {
			return id, err
		}
		last = id
	}
}

// nextID returns the decimal ID that follows last, the greatest one by the order of
// texts.
//
// The SDKs take one more than max(id), and compare texts: '9' stands above '10', so that
// after ten rows they choose '10' for ever and fail, or overwrite that row. Hence every
// ID chosen here is above all others as a text, too: where one more would not be (10 after
// 9), last is stretched with zeros (900000000). From then on the numbers have one length,
// and the SDKs count right again.
func nextID(last string) string {
	if last == "" {
		return "1"
	}
	digits := []byte(last)
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] < '9' {
			digits[i]++
			return string(digits)
		}
		digits[i] = '0'
	}
	return last + strings.Repeat("0", max(1, safeDigits-len(last)))
}
