/* Sends packets to frontends to the sockets of listeners, at the ingress of every interface (clsact).
 *
 * A connection is decided once, by its first packet; all others are found by their socket, so that no change of a map
 * ever cuts a connection. Whatever this program does not understand goes on as if it were not there. The reasons for
 * each step are in docs/redirect.md.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "redirect.h"

#define MARK_TO_LISTENER 0x200
#define MARK_REFUSE 0x2ff
#define MARK_UPSTREAM 0xa00
#define MARK_LISTENER 0xb00
#define MARK_KIND 0xf00

#define STATE_TIME_WAIT 6
#define STATE_LISTEN 10

#define LOOPBACK 1 /* its number in every network namespace */
#define VLAN 0x0fff /* of a tag: 0 is a priority and no VLAN */
#define FRAGMENT 0x3fff /* more fragments, or an offset */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct place);
	__type(value, struct target);
} places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct place);
	__type(value, struct count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct client);
	__type(value, __u8);
} clients SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENTS);
	__type(key, __u32);
	__type(value, __u64);
} events SEC(".maps");

/* One packet, as far as it is read. */
struct packet {
	struct bpf_sock_tuple tuple;
	int six;
	struct place place;
	__be32 source[4];
	void *ip;
	struct tcphdr *tcp;
};

/* Chosen between constants each time: the verifier loses the bounds of a size that was stored. */
#define TUPLE_SIZE(packet) ((packet)->six ? sizeof((packet)->tuple.ipv6) : sizeof((packet)->tuple.ipv4))
#define IP_SIZE(packet) ((packet)->six ? sizeof(struct ipv6hdr) : sizeof(struct iphdr))

/* Keeps the compiler from sharing what follows with the other family: one addition to a pointer with either header's
 * size is refused by the verifier to whoever has no CAP_PERFMON. */
#define APART(family, pointer) asm volatile("# " family : "+r"(pointer))

static __always_inline int pass(enum event event)
{
	__u32 key = event;
	__u64 *counted = bpf_map_lookup_elem(&events, &key);

	if (counted)
		(*counted)++;
	return TC_ACT_UNSPEC;
}

static __always_inline int marked(struct __sk_buff *skb, __u32 mark, enum event event)
{
	skb->mark = mark;
	return pass(event);
}

static __always_inline void mapped(__be32 *address, __be32 four)
{
	address[0] = 0;
	address[1] = 0;
	address[2] = bpf_htonl(0xffff);
	address[3] = four;
}

/* Read an IPv4 packet. 0: a TCP packet; 1: something else; -1: not understood. */
static __always_inline int read4(void *at, void *end, struct packet *packet)
{
	struct iphdr *ip = at;

	if ((void *)(ip + 1) > end)
		return -1;
	if (ip->protocol != IPPROTO_TCP)
		return 1;
	if (ip->version != 4 || ip->ihl != 5 || ip->frag_off & bpf_htons(FRAGMENT))
		return -1;
	packet->ip = ip;
	packet->tcp = (void *)(ip + 1);
	APART("four", packet->tcp);
	if ((void *)(packet->tcp + 1) > end)
		return -1;
	packet->tuple.ipv4.saddr = ip->saddr;
	packet->tuple.ipv4.daddr = ip->daddr;
	packet->tuple.ipv4.sport = packet->tcp->source;
	packet->tuple.ipv4.dport = packet->tcp->dest;
	mapped(packet->place.address, ip->daddr);
	mapped(packet->source, ip->saddr);
	return 0;
}

static __always_inline int read6(void *at, void *end, struct packet *packet)
{
	struct ipv6hdr *ip = at;

	if ((void *)(ip + 1) > end)
		return -1;
	if (ip->nexthdr != IPPROTO_TCP)
		return ip->nexthdr == IPPROTO_UDP || ip->nexthdr == IPPROTO_ICMPV6 ? 1 : -1;
	packet->ip = ip;
	packet->tcp = (void *)(ip + 1);
	APART("six", packet->tcp);
	if ((void *)(packet->tcp + 1) > end)
		return -1;
	__builtin_memcpy(packet->tuple.ipv6.saddr, &ip->saddr, 16);
	__builtin_memcpy(packet->tuple.ipv6.daddr, &ip->daddr, 16);
	packet->tuple.ipv6.sport = packet->tcp->source;
	packet->tuple.ipv6.dport = packet->tcp->dest;
	packet->six = 1;
	__builtin_memcpy(packet->place.address, &ip->daddr, 16);
	__builtin_memcpy(packet->source, &ip->saddr, 16);
	return 0;
}

static __always_inline int assign(struct __sk_buff *skb, struct bpf_sock *socket, enum event event)
{
	long failed = bpf_sk_assign(skb, socket, 0);

	bpf_sk_release(socket);
	return failed ? pass(FAILED) : marked(skb, MARK_TO_LISTENER, event);
}

static __always_inline int allowed(struct packet *packet)
{
	struct client client = { .prefix = 8 * (sizeof(client) - sizeof(client.prefix)), .place = packet->place };

	__builtin_memcpy(client.address, packet->source, sizeof(client.address));
	return bpf_map_lookup_elem(&clients, &client) != 0;
}

/* Count a packet for its place, once: the port of a bridge and the bridge both see it, the second time with our mark. On
 * the loopback interface the mark is that of the node's own clients, of whom the first packets alone are counted here.
 */
static __always_inline void counted(struct __sk_buff *skb, struct packet *packet, int first)
{
	struct count *count;

	if (skb->ifindex == LOOPBACK ? !first : skb->mark == MARK_TO_LISTENER)
		return;
	count = bpf_map_lookup_elem(&counts, &packet->place);
	if (!count)
		return;
	if (first) {
		__sync_fetch_and_add(&count->connections, 1);
		return;
	}
	__sync_fetch_and_add(&count->packets, 1);
	__sync_fetch_and_add(&count->bytes, skb->len - sizeof(struct ethhdr));
}

/* The listener on a port of the node: one that is bound to no address. */
static __always_inline struct bpf_sock *listener(struct __sk_buff *skb, struct packet *packet, __be16 port)
{
	struct bpf_sock_tuple wildcard = {};
	struct bpf_sock *found;

	wildcard.ipv6.dport = port; /* behind the end of the other: one address each, see APART */
	if (!packet->six)
		wildcard.ipv4.dport = port;
	found = bpf_skc_lookup_tcp(skb, &wildcard, TUPLE_SIZE(packet), BPF_F_CURRENT_NETNS, 0);
	if (found && found->state != STATE_LISTEN) {
		bpf_sk_release(found);
		return 0;
	}
	return found;
}

/* The first packet of a connection, or what pretends to be one. */
static __always_inline int is_first(struct packet *packet)
{
	return packet->tcp->syn && !packet->tcp->ack && !packet->tcp->rst && !packet->tcp->fin;
}

static __always_inline struct target *target_of(struct packet *packet)
{
	return bpf_map_lookup_elem(&places, &packet->place);
}

/* Decide a packet to a frontend that belongs to no connection yet. */
static __always_inline int begin(struct __sk_buff *skb, struct packet *packet, struct target *target, int first)
{
	struct bpf_sock *socket;

	if (first && target->restricted && !allowed(packet)) {
		pass(FORBIDDEN);
		return TC_ACT_SHOT;
	}
	socket = target->port ? listener(skb, packet, target->port) : 0;
	if (first)
		counted(skb, packet, 1);
	if (!socket)
		return first ? marked(skb, MARK_REFUSE, REFUSED) : TC_ACT_UNSPEC;
	if (first)
		return assign(skb, socket, TO_LISTENER);
	/* Another packet: of a connection that somebody else has, or the answer to a SYN cookie of the listener. */
	if (!packet->tcp->ack || packet->tcp->rst ||
	    bpf_tcp_check_syncookie(socket, packet->ip, IP_SIZE(packet), packet->tcp, sizeof(*packet->tcp))) {
		bpf_sk_release(socket);
		return TC_ACT_UNSPEC;
	}
	return assign(skb, socket, BY_COOKIE);
}

/* Whose a packet is, by the socket that the stack will find for it. */
enum owner {
	NOBODY, /* no connection's */
	LISTENERS, /* that of a connection which a listener has accepted */
	BEGINNING, /* that of a handshake: the listener's if the place is */
	ENDED, /* in TIME_WAIT: likewise */
	STRANGERS
};

static __always_inline enum owner owner_of(struct __sk_buff *skb, struct packet *packet)
{
	struct bpf_sock *full, *socket;
	enum owner owner;

	socket = bpf_skc_lookup_tcp(skb, &packet->tuple, TUPLE_SIZE(packet), BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return NOBODY;
	if (socket->state == STATE_LISTEN)
		owner = NOBODY;
	else if (socket->state == STATE_TIME_WAIT)
		owner = ENDED;
	else if (!(full = bpf_sk_fullsock(socket)))
		owner = BEGINNING;
	else /* those that a listener of ours accepted carry its mark */
		owner = (full->mark & MARK_KIND) == MARK_LISTENER ? LISTENERS : STRANGERS;
	bpf_sk_release(socket);
	return owner;
}

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *frame = data;
	struct packet packet = {};
	struct target *target = 0;
	int unread, first;

	if ((skb->mark & MARK_KIND) == MARK_UPSTREAM || (void *)(frame + 1) > end)
		return TC_ACT_UNSPEC;
	/* The VLAN's own interface has this program too; where there is none, the stack drops the packet. */
	if (skb->vlan_present && skb->vlan_tci & VLAN)
		return TC_ACT_UNSPEC;
	if (frame->h_proto == bpf_htons(ETH_P_IP))
		unread = read4(frame + 1, end, &packet);
	else if (frame->h_proto == bpf_htons(ETH_P_IPV6))
		unread = read6(frame + 1, end, &packet);
	else
		return TC_ACT_UNSPEC;
	if (unread)
		return unread < 0 ? pass(NOT_UNDERSTOOD) : TC_ACT_UNSPEC;
	packet.place.port = packet.tcp->dest;

	/* A first packet that goes to no place costs one look-up, and so does any packet of an accepted connection. */
	first = is_first(&packet);
	if (first && !(target = target_of(&packet)))
		return TC_ACT_UNSPEC;
	switch (owner_of(skb, &packet)) {
	case LISTENERS:
		counted(skb, &packet, 0);
		/* The stack finds the socket as we did. It would not use the route that the socket remembers if the
		 * socket were assigned. */
		return marked(skb, MARK_TO_LISTENER, ESTABLISHED);
	case STRANGERS:
		return TC_ACT_UNSPEC;
	case BEGINNING:
		return target || target_of(&packet) ? marked(skb, MARK_TO_LISTENER, ESTABLISHED) : TC_ACT_UNSPEC;
	case ENDED:
		/* The stack finds out itself whether a new connection may take the place of one that ended; assigning
		 * the listener here leaves the client hanging. */
		return target || target_of(&packet) ? marked(skb, MARK_TO_LISTENER, LATE) : TC_ACT_UNSPEC;
	default:
		target = target ? target : target_of(&packet);
		return target ? begin(skb, &packet, target, first) : TC_ACT_UNSPEC;
	}
}

char _license[] SEC("license") = "GPL";
