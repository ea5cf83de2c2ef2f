"""Run the sandbox gateway by itself: `python -m outreach.sandbox --port 8099 --ledger ledger.jsonl`."""

import argparse
import sys
from pathlib import Path

from outreach.sandbox import server
from outreach.sandbox.aliyun.doors import Account as AliyunAccount
from outreach.sandbox.wechat.world import Account


def main() -> int:
    """Read the command line, serve, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m outreach.sandbox", description="A gateway on loopback that texts nobody.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8099, help="0: any free one")
    parser.add_argument("--ledger", type=Path, default=Path("sandbox.jsonl"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--account-sid", default=server.ACCOUNT_SID)
    parser.add_argument("--auth-token", default=server.AUTH_TOKEN)
    parser.add_argument("--inbound-url", default=server.INBOUND_URL)
    usual = Account()
    parser.add_argument("--wechat-url", default=usual.hook_url)
    parser.add_argument("--wechat-app-id", default=usual.app_id)
    parser.add_argument("--wechat-secret", default=usual.secret)
    parser.add_argument("--wechat-token", default=usual.token)
    parser.add_argument("--wechat-aes-key", default=usual.aes_key)
    at_aliyun = AliyunAccount()
    parser.add_argument("--aliyun-access-key-id", default=at_aliyun.access_key_id)
    parser.add_argument("--aliyun-secret", default=at_aliyun.secret)
    parser.add_argument("--aliyun-report-url", default=at_aliyun.report_url)
    parser.add_argument("--aliyun-reply-url", default=at_aliyun.reply_url)
    asked = parser.parse_args()
    try:
        server.serve(
            asked.host,
            asked.port,
            ledger=asked.ledger,
            seed=asked.seed,
            account_sid=asked.account_sid,
            auth_token=asked.auth_token,
            inbound_url=asked.inbound_url,
            wechat=Account(asked.wechat_app_id, asked.wechat_secret, asked.wechat_token, asked.wechat_aes_key, asked.wechat_url),
            aliyun=AliyunAccount(asked.aliyun_access_key_id, asked.aliyun_secret, asked.aliyun_report_url, asked.aliyun_reply_url),
            ready=lambda port: print(f"listening on http://{asked.host}:{port}", flush=True),
        )
    except OSError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
