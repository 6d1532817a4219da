package redistest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const slots = 16384

// Slot returns the hash slot of a key, as Redis Cluster computes it: CRC16 of
// what stands between the first { and the next }, unless that is nothing, else
// of the whole key.
func Slot(key string) int {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16 // CRC-16/XMODEM
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc) % slots
}

// finders says where the keys stand among a command's arguments.
var finders = func() map[string]func(args []string) []string {
	m := map[string]func([]string) []string{}
	add := func(find func([]string) []string, names string) {
		for name := range strings.FieldsSeq(names) {
			m[name] = find
		}
	}
	add(none, `ACL ASKING AUTH CLIENT CLUSTER COMMAND CONFIG DBSIZE DISCARD ECHO EXEC FLUSHALL
		FLUSHDB FUNCTION HELLO INFO KEYS MULTI PING PSUBSCRIBE PUBLISH PUBSUB PUNSUBSCRIBE QUIT
		RANDOMKEY READONLY READWRITE RESET ROLE SCAN SCRIPT SELECT SUBSCRIBE TIME UNSUBSCRIBE
		UNWATCH WAIT`)
	add(span(0, 1), `APPEND BITCOUNT DECR DECRBY DUMP EXPIRE EXPIREAT EXPIRETIME GET GETDEL GETEX
		GETRANGE GETSET HDEL HEXISTS HEXPIRE HGET HGETALL HINCRBY HKEYS HLEN HMGET HMSET HPERSIST
		HPTTL HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT LINDEX LLEN LPOP
		LPUSH LRANGE LREM LSET LTRIM PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PSETEX PTTL RESTORE
		RPOP RPUSH SADD SCARD SET SETEX SETNX SETRANGE SISMEMBER SMEMBERS SMISMEMBER SPOP
		SPUBLISH SRANDMEMBER SREM SSCAN STRLEN SUBSTR TTL TYPE XACK XADD XDEL XLEN XRANGE
		XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER
		ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK
		ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE`)
	add(span(1, 2), "MEMORY OBJECT XGROUP XINFO")
	add(span(0, 2), "BLMOVE COPY LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE")
	add(span(0, -1), "DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE TOUCH UNLINK WATCH")
	add(pairs, "MSET MSETNX")
	add(counted(0), "SINTERCARD ZDIFF ZINTER ZINTERCARD ZUNION LMPOP ZMPOP")
	add(counted(1), "EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO ZDIFFSTORE ZINTERSTORE ZUNIONSTORE")
	return m
}()

// keysOf returns the keys of a command. A command that is not in the table is an
// error, so that none slips through unchecked.
func keysOf(cmd string, args []string) ([]string, error) {
	find, ok := finders[cmd]
	if !ok {
		return nil, fmt.Errorf("redistest: where are the keys of %s? add it to finders", cmd)
	}
	keys := find(args)
	if strings.HasSuffix(cmd, "STORE") && strings.HasPrefix(cmd, "Z") && cmd != "ZRANGESTORE" && len(args) > 0 {
		keys = append(slices.Clone(keys), args[0]) // the destination stands before the count
	}
	return keys, nil
}

func none([]string) []string { return nil }

// span finds the keys from..to-1; to -1 means all that follow.
func span(from, to int) func([]string) []string {
	return func(args []string) []string {
		end := to
		if to < 0 || to > len(args) {
			end = len(args)
		}
		return args[min(from, end):end]
	}
}

func pairs(args []string) []string {
	var keys []string
	for i := 0; i < len(args); i += 2 {
		keys = append(keys, args[i])
	}
	return keys
}

// counted finds as many keys as the argument at says, after it.
func counted(at int) func([]string) []string {
	return func(args []string) []string {
		if at >= len(args) {
			return nil
		}
		n, err := strconv.Atoi(args[at])
		if err != nil || n < 0 {
			return nil // the server refuses it
		}
		return span(at+1, at+1+n)(args)
	}
}

// commonSlot returns the slot of all keys, -1 when there are none, and false when
// they lie in several.
func commonSlot(keys []string) (int, bool) {
	slot := -1
	for _, k := range keys {
		s := Slot(k)
		if slot >= 0 && s != slot {
			return 0, false
		}
		slot = s
	}
	return slot, true
}
