// Written by `npm run abi`; a test compares it with the contracts.
export const settlementAbi = [
  {
    "type": "constructor",
    "inputs": [
      {
        "name": "gas",
        "type": "address",
        "internalType": "contract IGasCredit"
      },
      {
        "name": "pool",
        "type": "address",
        "internalType": "contract IRewardPool"
      },
      {
        "name": "admin",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "fixedTerms",
        "type": "tuple",
        "internalType": "struct SettlementTerms",
        "components": [
          {
            "name": "rewardBps",
            "type": "uint16",
            "internalType": "uint16"
          },
          {
            "name": "withdrawThawS",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "signerThawS",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "receiptClaimDelayS",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "receiptClaimGraceS",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "receiptClaimMinGas18",
            "type": "uint128",
            "internalType": "uint128"
          }
        ]
      }
    ],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "DEFAULT_ADMIN_ROLE",
    "inputs": [],
    "outputs": [
      {
        "name": "",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "GAS",
    "inputs": [],
    "outputs": [
      {
        "name": "",
        "type": "address",
        "internalType": "contract IGasCredit"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "POOL",
    "inputs": [],
    "outputs": [
      {
        "name": "",
        "type": "address",
        "internalType": "contract IRewardPool"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "PRICE_ROLE",
    "inputs": [],
    "outputs": [
      {
        "name": "",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "authoriseSigner",
    "inputs": [
      {
        "name": "signer",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "dailyCapGas18",
        "type": "uint128",
        "internalType": "uint128"
      },
      {
        "name": "validUntil",
        "type": "uint64",
        "internalType": "uint64"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "claim",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "leaf",
        "type": "tuple",
        "internalType": "struct RewardLeaf",
        "components": [
          {
            "name": "server",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "cumulativeIoex",
            "type": "uint256",
            "internalType": "uint256"
          },
          {
            "name": "cumulativeGas18",
            "type": "uint256",
            "internalType": "uint256"
          }
        ]
      },
      {
        "name": "proof",
        "type": "bytes32[]",
        "internalType": "bytes32[]"
      }
    ],
    "outputs": [
      {
        "name": "ioex",
        "type": "uint256",
        "internalType": "uint256"
      }
    ],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "claimMany",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "leaves",
        "type": "tuple[]",
        "internalType": "struct RewardLeaf[]",
        "components": [
          {
            "name": "server",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "cumulativeIoex",
            "type": "uint256",
            "internalType": "uint256"
          },
          {
            "name": "cumulativeGas18",
            "type": "uint256",
            "internalType": "uint256"
          }
        ]
      },
      {
        "name": "proofs",
        "type": "bytes32[][]",
        "internalType": "bytes32[][]"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "claimWithReceipts",
    "inputs": [
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "evidence",
        "type": "tuple[]",
        "internalType": "struct ReceiptEvidence[]",
        "components": [
          {
            "name": "grant",
            "type": "tuple",
            "internalType": "struct Grant",
            "components": [
              {
                "name": "vendor",
                "type": "address",
                "internalType": "address"
              },
              {
                "name": "device",
                "type": "address",
                "internalType": "address"
              },
              {
                "name": "root",
                "type": "bytes32",
                "internalType": "bytes32"
              },
              {
                "name": "deltaRoot",
                "type": "bytes32",
                "internalType": "bytes32"
              },
              {
                "name": "maxBytes",
                "type": "uint64",
                "internalType": "uint64"
              },
              {
                "name": "service",
                "type": "bytes32",
                "internalType": "bytes32"
              },
              {
                "name": "priceVersion",
                "type": "uint32",
                "internalType": "uint32"
              },
              {
                "name": "notBefore",
                "type": "uint64",
                "internalType": "uint64"
              },
              {
                "name": "notAfter",
                "type": "uint64",
                "internalType": "uint64"
              },
              {
                "name": "serial",
                "type": "uint64",
                "internalType": "uint64"
              }
            ]
          },
          {
            "name": "grantSignature",
            "type": "bytes",
            "internalType": "bytes"
          },
          {
            "name": "receipt",
            "type": "tuple",
            "internalType": "struct Receipt",
            "components": [
              {
                "name": "grantId",
                "type": "bytes32",
                "internalType": "bytes32"
              },
              {
                "name": "server",
                "type": "address",
                "internalType": "address"
              },
              {
                "name": "serverBytes",
                "type": "uint64",
                "internalType": "uint64"
              },
              {
                "name": "grantBytes",
                "type": "uint64",
                "internalType": "uint64"
              }
            ]
          },
          {
            "name": "receiptSignature",
            "type": "bytes",
            "internalType": "bytes"
          }
        ]
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "deposit",
    "inputs": [
      {
        "name": "gas18",
        "type": "uint256",
        "internalType": "uint256"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "digestOfEpochRoot",
    "inputs": [
      {
        "name": "epochRoot",
        "type": "tuple",
        "internalType": "struct EpochRoot",
        "components": [
          {
            "name": "vendor",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "epoch",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "totalCumulativeGas18",
            "type": "uint256",
            "internalType": "uint256"
          },
          {
            "name": "root",
            "type": "bytes32",
            "internalType": "bytes32"
          }
        ]
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "digestOfGrant",
    "inputs": [
      {
        "name": "grant",
        "type": "tuple",
        "internalType": "struct Grant",
        "components": [
          {
            "name": "vendor",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "device",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "root",
            "type": "bytes32",
            "internalType": "bytes32"
          },
          {
            "name": "deltaRoot",
            "type": "bytes32",
            "internalType": "bytes32"
          },
          {
            "name": "maxBytes",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "service",
            "type": "bytes32",
            "internalType": "bytes32"
          },
          {
            "name": "priceVersion",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "notBefore",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "notAfter",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "serial",
            "type": "uint64",
            "internalType": "uint64"
          }
        ]
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "digestOfPinOrder",
    "inputs": [
      {
        "name": "order",
        "type": "tuple",
        "internalType": "struct PinOrder",
        "components": [
          {
            "name": "payer",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "roots",
            "type": "bytes32[]",
            "internalType": "bytes32[]"
          },
          {
            "name": "bytes_",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "from",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "until",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "copies",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "service",
            "type": "bytes32",
            "internalType": "bytes32"
          },
          {
            "name": "priceVersion",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "signers",
            "type": "address[]",
            "internalType": "address[]"
          }
        ]
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "digestOfReceipt",
    "inputs": [
      {
        "name": "receipt",
        "type": "tuple",
        "internalType": "struct Receipt",
        "components": [
          {
            "name": "grantId",
            "type": "bytes32",
            "internalType": "bytes32"
          },
          {
            "name": "server",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "serverBytes",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "grantBytes",
            "type": "uint64",
            "internalType": "uint64"
          }
        ]
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "eip712Domain",
    "inputs": [],
    "outputs": [
      {
        "name": "fields",
        "type": "bytes1",
        "internalType": "bytes1"
      },
      {
        "name": "name",
        "type": "string",
        "internalType": "string"
      },
      {
        "name": "version",
        "type": "string",
        "internalType": "string"
      },
      {
        "name": "chainId",
        "type": "uint256",
        "internalType": "uint256"
      },
      {
        "name": "verifyingContract",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "salt",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "extensions",
        "type": "uint256[]",
        "internalType": "uint256[]"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "finishReceiptClaim",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "ioex",
        "type": "uint256",
        "internalType": "uint256"
      }
    ],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "getRoleAdmin",
    "inputs": [
      {
        "name": "role",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "grantBytesOf",
    "inputs": [
      {
        "name": "grantId",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "serverBytes",
        "type": "uint64",
        "internalType": "uint64"
      },
      {
        "name": "allBytes",
        "type": "uint64",
        "internalType": "uint64"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "grantRole",
    "inputs": [
      {
        "name": "role",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "account",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "hasRole",
    "inputs": [
      {
        "name": "role",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "account",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "bool",
        "internalType": "bool"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "multicall",
    "inputs": [
      {
        "name": "data",
        "type": "bytes[]",
        "internalType": "bytes[]"
      }
    ],
    "outputs": [
      {
        "name": "results",
        "type": "bytes[]",
        "internalType": "bytes[]"
      }
    ],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "payoutNonceOf",
    "inputs": [
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "uint64",
        "internalType": "uint64"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "payoutOf",
    "inputs": [
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "address",
        "internalType": "address"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "postEpochRoot",
    "inputs": [
      {
        "name": "epochRoot",
        "type": "tuple",
        "internalType": "struct EpochRoot",
        "components": [
          {
            "name": "vendor",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "epoch",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "totalCumulativeGas18",
            "type": "uint256",
            "internalType": "uint256"
          },
          {
            "name": "root",
            "type": "bytes32",
            "internalType": "bytes32"
          }
        ]
      },
      {
        "name": "signature",
        "type": "bytes",
        "internalType": "bytes"
      },
      {
        "name": "leavesIoex",
        "type": "uint256",
        "internalType": "uint256"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "priceOf",
    "inputs": [
      {
        "name": "service",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "version",
        "type": "uint32",
        "internalType": "uint32"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "tuple",
        "internalType": "struct Price",
        "components": [
          {
            "name": "priceGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "unitBytes",
            "type": "uint64",
            "internalType": "uint64"
          }
        ]
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "registerPrice",
    "inputs": [
      {
        "name": "service",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "version",
        "type": "uint32",
        "internalType": "uint32"
      },
      {
        "name": "priceGas18",
        "type": "uint128",
        "internalType": "uint128"
      },
      {
        "name": "unitBytes",
        "type": "uint64",
        "internalType": "uint64"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "renounceRole",
    "inputs": [
      {
        "name": "role",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "callerConfirmation",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "requestWithdrawal",
    "inputs": [
      {
        "name": "gas18",
        "type": "uint256",
        "internalType": "uint256"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "revokeRole",
    "inputs": [
      {
        "name": "role",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "account",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "revokeSigner",
    "inputs": [
      {
        "name": "signer",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "rewardOf",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "ioex",
        "type": "uint256",
        "internalType": "uint256"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "serverOf",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "tuple",
        "internalType": "struct ServerAccount",
        "components": [
          {
            "name": "creditedGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "paidIoex",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "provenGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "reservedGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "signer",
            "type": "address",
            "internalType": "address"
          },
          {
            "name": "claimableAt",
            "type": "uint64",
            "internalType": "uint64"
          }
        ]
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "setPayout",
    "inputs": [
      {
        "name": "payout",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "setPayoutBySignature",
    "inputs": [
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "payout",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "signature",
        "type": "bytes",
        "internalType": "bytes"
      }
    ],
    "outputs": [],
    "stateMutability": "nonpayable"
  },
  {
    "type": "function",
    "name": "signerOf",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "signer",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "tuple",
        "internalType": "struct SignerAccount",
        "components": [
          {
            "name": "dailyCapGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "spentGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "validFrom",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "validUntil",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "day",
            "type": "uint64",
            "internalType": "uint64"
          }
        ]
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "supportsInterface",
    "inputs": [
      {
        "name": "interfaceId",
        "type": "bytes4",
        "internalType": "bytes4"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "bool",
        "internalType": "bool"
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "terms",
    "inputs": [],
    "outputs": [
      {
        "name": "",
        "type": "tuple",
        "internalType": "struct SettlementTerms",
        "components": [
          {
            "name": "rewardBps",
            "type": "uint16",
            "internalType": "uint16"
          },
          {
            "name": "withdrawThawS",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "signerThawS",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "receiptClaimDelayS",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "receiptClaimGraceS",
            "type": "uint32",
            "internalType": "uint32"
          },
          {
            "name": "receiptClaimMinGas18",
            "type": "uint128",
            "internalType": "uint128"
          }
        ]
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "vendorOf",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      }
    ],
    "outputs": [
      {
        "name": "",
        "type": "tuple",
        "internalType": "struct VendorAccount",
        "components": [
          {
            "name": "escrowGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "escrowIoex",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "reservedGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "thawingGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "burnedGas18",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "burnedIoex",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "paidIoex",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "thawedAt",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "epoch",
            "type": "uint64",
            "internalType": "uint64"
          },
          {
            "name": "root",
            "type": "bytes32",
            "internalType": "bytes32"
          },
          {
            "name": "poorestIoex",
            "type": "uint128",
            "internalType": "uint128"
          },
          {
            "name": "poorestGas18",
            "type": "uint128",
            "internalType": "uint128"
          }
        ]
      }
    ],
    "stateMutability": "view"
  },
  {
    "type": "function",
    "name": "withdraw",
    "inputs": [],
    "outputs": [
      {
        "name": "gas18",
        "type": "uint256",
        "internalType": "uint256"
      }
    ],
    "stateMutability": "nonpayable"
  },
  {
    "type": "event",
    "name": "Deposited",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "gas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "ioex",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "EIP712DomainChanged",
    "inputs": [],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "EpochPosted",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "epoch",
        "type": "uint64",
        "indexed": true,
        "internalType": "uint64"
      },
      {
        "name": "root",
        "type": "bytes32",
        "indexed": false,
        "internalType": "bytes32"
      },
      {
        "name": "totalCumulativeGas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "gas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "burnedIoex",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "rewardIoex",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "PayoutSet",
    "inputs": [
      {
        "name": "server",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "payout",
        "type": "address",
        "indexed": false,
        "internalType": "address"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "PriceRegistered",
    "inputs": [
      {
        "name": "service",
        "type": "bytes32",
        "indexed": true,
        "internalType": "bytes32"
      },
      {
        "name": "version",
        "type": "uint32",
        "indexed": true,
        "internalType": "uint32"
      },
      {
        "name": "priceGas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "unitBytes",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "ReceiptClaimOpened",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "server",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "owedGas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "claimableAt",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "ReceiptClaimPaid",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "server",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "gas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "burnedIoex",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "rewardIoex",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "leftGas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "RewardPaid",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "server",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "payout",
        "type": "address",
        "indexed": false,
        "internalType": "address"
      },
      {
        "name": "ioex",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "creditedGas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "RoleAdminChanged",
    "inputs": [
      {
        "name": "role",
        "type": "bytes32",
        "indexed": true,
        "internalType": "bytes32"
      },
      {
        "name": "previousAdminRole",
        "type": "bytes32",
        "indexed": true,
        "internalType": "bytes32"
      },
      {
        "name": "newAdminRole",
        "type": "bytes32",
        "indexed": true,
        "internalType": "bytes32"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "RoleGranted",
    "inputs": [
      {
        "name": "role",
        "type": "bytes32",
        "indexed": true,
        "internalType": "bytes32"
      },
      {
        "name": "account",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "sender",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "RoleRevoked",
    "inputs": [
      {
        "name": "role",
        "type": "bytes32",
        "indexed": true,
        "internalType": "bytes32"
      },
      {
        "name": "account",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "sender",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "SignerAuthorised",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "signer",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "dailyCapGas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "validUntil",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "SignerRevoked",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "signer",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "validUntil",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "WithdrawalRequested",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "gas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "thawedAt",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "event",
    "name": "Withdrawn",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "indexed": true,
        "internalType": "address"
      },
      {
        "name": "gas18",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      },
      {
        "name": "ioex",
        "type": "uint256",
        "indexed": false,
        "internalType": "uint256"
      }
    ],
    "anonymous": false
  },
  {
    "type": "error",
    "name": "AccessControlBadConfirmation",
    "inputs": []
  },
  {
    "type": "error",
    "name": "AccessControlUnauthorizedAccount",
    "inputs": [
      {
        "name": "account",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "neededRole",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ]
  },
  {
    "type": "error",
    "name": "AddressEmptyCode",
    "inputs": [
      {
        "name": "target",
        "type": "address",
        "internalType": "address"
      }
    ]
  },
  {
    "type": "error",
    "name": "ClaimNotReady",
    "inputs": [
      {
        "name": "claimableAt",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "ClaimTooSmall",
    "inputs": [
      {
        "name": "owedGas18",
        "type": "uint256",
        "internalType": "uint256"
      },
      {
        "name": "minimumGas18",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "DailyCapReached",
    "inputs": [
      {
        "name": "signer",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "leftGas18",
        "type": "uint256",
        "internalType": "uint256"
      },
      {
        "name": "wantedGas18",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "DepositTooSmall",
    "inputs": [
      {
        "name": "ioex",
        "type": "uint256",
        "internalType": "uint256"
      },
      {
        "name": "minimum",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "ECDSAInvalidSignature",
    "inputs": []
  },
  {
    "type": "error",
    "name": "ECDSAInvalidSignatureLength",
    "inputs": [
      {
        "name": "length",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "ECDSAInvalidSignatureS",
    "inputs": [
      {
        "name": "s",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ]
  },
  {
    "type": "error",
    "name": "EpochNotRising",
    "inputs": [
      {
        "name": "lastEpoch",
        "type": "uint256",
        "internalType": "uint256"
      },
      {
        "name": "epoch",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "FailedCall",
    "inputs": []
  },
  {
    "type": "error",
    "name": "InsufficientEscrow",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "availableGas18",
        "type": "uint256",
        "internalType": "uint256"
      },
      {
        "name": "wantedGas18",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "InvalidShortString",
    "inputs": []
  },
  {
    "type": "error",
    "name": "LeafNotInRoot",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      }
    ]
  },
  {
    "type": "error",
    "name": "LengthsDiffer",
    "inputs": []
  },
  {
    "type": "error",
    "name": "NotThawed",
    "inputs": [
      {
        "name": "thawedAt",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "NotTheServer",
    "inputs": [
      {
        "name": "caller",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      }
    ]
  },
  {
    "type": "error",
    "name": "PayoutNotSigned",
    "inputs": [
      {
        "name": "server",
        "type": "address",
        "internalType": "address"
      }
    ]
  },
  {
    "type": "error",
    "name": "PriceTaken",
    "inputs": [
      {
        "name": "service",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "version",
        "type": "uint32",
        "internalType": "uint32"
      }
    ]
  },
  {
    "type": "error",
    "name": "PriceUnknown",
    "inputs": [
      {
        "name": "service",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "version",
        "type": "uint32",
        "internalType": "uint32"
      }
    ]
  },
  {
    "type": "error",
    "name": "ReceiptInvalid",
    "inputs": [
      {
        "name": "grantId",
        "type": "bytes32",
        "internalType": "bytes32"
      }
    ]
  },
  {
    "type": "error",
    "name": "ReceiptNotSigned",
    "inputs": [
      {
        "name": "grantId",
        "type": "bytes32",
        "internalType": "bytes32"
      },
      {
        "name": "device",
        "type": "address",
        "internalType": "address"
      }
    ]
  },
  {
    "type": "error",
    "name": "RewardBelowLeaves",
    "inputs": [
      {
        "name": "rewardIoex",
        "type": "uint256",
        "internalType": "uint256"
      },
      {
        "name": "leavesIoex",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "SafeCastOverflowedUintDowncast",
    "inputs": [
      {
        "name": "bits",
        "type": "uint8",
        "internalType": "uint8"
      },
      {
        "name": "value",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "SignerNotAuthorised",
    "inputs": [
      {
        "name": "vendor",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "signer",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "time",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "StringTooLong",
    "inputs": [
      {
        "name": "str",
        "type": "string",
        "internalType": "string"
      }
    ]
  },
  {
    "type": "error",
    "name": "TermsInvalid",
    "inputs": []
  },
  {
    "type": "error",
    "name": "TotalFalls",
    "inputs": [
      {
        "name": "burnedGas18",
        "type": "uint256",
        "internalType": "uint256"
      },
      {
        "name": "totalCumulativeGas18",
        "type": "uint256",
        "internalType": "uint256"
      }
    ]
  },
  {
    "type": "error",
    "name": "VendorsDiffer",
    "inputs": [
      {
        "name": "expected",
        "type": "address",
        "internalType": "address"
      },
      {
        "name": "found",
        "type": "address",
        "internalType": "address"
      }
    ]
  }
] as const
