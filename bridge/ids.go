package bridge

import (
	"crypto/rand"
	"math/big"
	"strconv"
	"strings"
)

// Every id that the hub makes is random, so that none is ever given twice,
// restarts included.

// randomText gives n characters of 5 bits each, safe in topics.
func randomText(n int) string { return strings.ToLower(rand.Text()[:n]) }

func newCommandID() string  { return "hub-" + randomText(12) }
func newPlaybackID() string { return "p-" + randomText(12) }
func newSessionRef() string { return "s-" + randomText(12) }

// newToken gives 16 decimal digits, more than 52 bits: old clients expect a short decimal
// string and may keep it in a float64, which is exact up to here.
func newToken() string {
	const low, high = 1_000_000_000_000_000, 9_007_199_254_740_992
	n, err := rand.Int(rand.Reader, big.NewInt(high-low))
	if err != nil {
		panic(err) // crypto/rand never fails on the systems that Go supports
	}
	return strconv.FormatInt(low+n.Int64(), 10)
}
