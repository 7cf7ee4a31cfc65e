/* Tag every IP packet that leaves: with a priority and no VLAN (section prioritized), or for VLAN 7 (section tagged). */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PRIORITY (3 << 13)

static __always_inline int push(struct __sk_buff *skb, __u16 tag)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), tag);
	return TC_ACT_UNSPEC;
}

SEC("prioritized")
int tag_priority(struct __sk_buff *skb)
{
	return push(skb, PRIORITY);
}

SEC("tagged")
int tag_vlan(struct __sk_buff *skb)
{
	return push(skb, 7);
}

char _license[] SEC("license") = "GPL";
