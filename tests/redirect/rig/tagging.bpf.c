/* Tags of VLANs, put on and taken off by the kernel's own helpers.
 *
 * Tag every IPv4 packet that leaves: with a priority and no VLAN (section prioritized), or for VLAN 7 (section tagged).
 * And what an interface of VLAN 7 is made of where the kernel has none of its own: two classifiers, each with a redirect
 * to the other interface as its action. What leaves the VLAN's interface is tagged (section joined), and what arrives
 * with that tag belongs to it (section ours): 0 is no match and -1 is one.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PRIORITY (3 << 13)
#define VLAN 0x0fff

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

SEC("joined")
int join(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 7) ? 0 : -1;
}

SEC("ours")
int take(struct __sk_buff *skb)
{
	if (!skb->vlan_present || (skb->vlan_tci & VLAN) != 7)
		return 0;
	return bpf_skb_vlan_pop(skb) ? 0 : -1;
}

char _license[] SEC("license") = "GPL";
